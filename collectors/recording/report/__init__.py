"""What a recording says about an incident, in plain English: facts, harm, and two ways of writing them down.

`facts.gather` reads a recording once; `document` words what it found; `markdown` and `page` write that down.
"""
