"""Themes as data: meanings to colours, validated on load."""
