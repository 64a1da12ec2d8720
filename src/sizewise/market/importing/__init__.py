"""Foreign files of bars: what they are, what is wrong with them, and bars of them.

- imported: what is asked of an import and what it answers: plain records
- chart: a small picture of closes for a terminal or a notebook
- files: from files to columns of text or numbers, whatever they are wrapped in
- columns: which column is what, by name or by value
- numbers: columns of numbers, however they are written
- layouts: layouts of vendors, a record each
- time_texts: times as texts, in any common form
- times: times as they are written: epochs, texts, one column or two
- zones: zones, told by when markets open; hours that a clock shows twice
- clocks: from what clocks showed to UTC
- joining: files of one symbol put one after another
- parts: one table of a file read
- drafts: bars on their way, with the file and row that each came from
- traps: what may be wrong with bars, and its repairs
- resampling: longer bars out of shorter ones; days stamped with their openings
- reading: the whole way from files to bars
"""
