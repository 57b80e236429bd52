"""Faults on purpose, under load, on the real system; and a checker that compares what everybody was told with what is.

In the way of Jepsen: clients write down what they asked and were told (`history`), a nemesis breaks parts by a schedule
that a seed makes, and afterwards the checker holds the histories against the databases and the topics.
"""
