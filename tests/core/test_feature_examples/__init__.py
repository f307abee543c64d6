"""One worked example per feature: few rows, the arithmetic in a comment, the number computed by hand.

Everything is about Ann, a customer of a thousand days whose contacts have been recorded as long, asked about at NOW.
"""
