"""Charts for print and screen: each is one Altair chart, drawn from a data frame.

What diverged, or lies far above the rest, is drawn as a triangle at the upper edge; nothing is
left out because it is bad.
"""
