"""What an arm does now: the walk-forward's order at the close of the last bar.

- history: how many bars an arm needs, and its own market made of them
- asking: an account walked up to one close, what is ordered there, and what the venue would make of it
- decide: an opened arm and its decision
- opening: arms of a checkout by name, and what training left in a folder
- fitted: sizes that are fitted on the checkout's bars
"""
