"""From files to columns of text or numbers, whatever they are wrapped in.

- containers: plain files, gzip, zstd and zip, opened as streams with a cap on what may come out
- dialects: how a text file is written: encoding, delimiter, header, comments, decimal sign
- jsons: rows in JSON, whatever stands around them
- tables: a file's columns, typed where that is quick, and its first rows as text
- factors: factor files of LEAN, which adjust prices for splits and dividends
"""
