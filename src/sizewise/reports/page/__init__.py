"""What every report shares, so that a stage declares it as one path.

- notebook: how a notebook begins, and its last line
- run: execute a notebook and keep it as a report
- style: how figures look
"""
