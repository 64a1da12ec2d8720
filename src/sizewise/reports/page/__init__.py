"""What every report shares, so that a stage declares it as one path.

- contents: the reports in the order in which they are read
- described: what a figure shows, in words
- by_hand: a notebook opened in JupyterLab, and what it reads
- notebook: how a notebook begins, and its last line
- failed: where a notebook stopped, its half-run copy, and which reports are older than that
- notes: what a project says of itself beside its reports
- kernel: the kernel a notebook runs in: the running interpreter's own
- glossary: words that the pages explain
- progress: how far training is, in a terminal and in a notebook
- render: an executed notebook as a page of the site
- run: execute a notebook and keep it as a report
- style: how figures look
- picture: a figure as a picture, sharp and small
- table: a frame as it is read: units, digits, and a dash for what is missing
"""
