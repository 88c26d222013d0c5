"""What was measured, for people: the result table, figures, and one page that holds it all.

Nothing here computes a score. Every number comes from a file of another stage; this package only
averages over seeds, puts chance beside it, and checks that the counts add up.
"""
