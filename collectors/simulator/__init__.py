"""The demo fleet. Every page and frame of it is marked SIMULATED."""
