"""The trade explorer: what each arm did on each symbol, drawn in the browser from one small file a symbol.

- letters: whole numbers as letters, so that a file of them stays small
- page: the page and the files beside it; what dvc.yaml calls
- symbol: what is drawn of one symbol, as its file holds it

`uplot` holds the library that draws, as its authors publish it; see the README beside it.
"""
