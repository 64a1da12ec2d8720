"""What a book says of itself."""

import torch

from sizewise.trading.broker.book import Book

# Two instruments, three accounts: one long and in debt, one short, one flat.
CASH = torch.tensor([-50.0, 400.0, 100.0])
UNITS = torch.tensor([[2.0, -1.0, 0.0], [1.0, 0.0, 0.0]])
CLOSE = torch.tensor([[100.0], [30.0]], dtype=torch.float64)


def test_equity_is_cash_and_positions():
    book = Book(CASH, UNITS)
    assert book.value(CLOSE).tolist() == [[200.0, -100.0, 0.0], [30.0, 0.0, 0.0]]
    assert book.equity(CLOSE).tolist() == [180.0, 300.0, 100.0]


def test_money_keeps_its_dtype_whatever_that_of_prices():
    book = Book(CASH, UNITS)
    assert (book.value(CLOSE).dtype, book.equity(CLOSE).dtype) == (torch.float32, torch.float32)
