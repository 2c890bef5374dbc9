"""Self-contained pages: one file, no request, light and dark, at any width.

    rendering.py   pictures and a template into a page
    svg.py         figures as SVG that belongs to its page
    time_axis.py   where a time axis is labelled
    numerals.py    numbers as pages write them
    base.html.j2   head and style of every page; macros.html.j2: a picture, a command

Reports of forecasts and of traces are made with it. matplotlib and jinja2.
"""
