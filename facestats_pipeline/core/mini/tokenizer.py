"""A vocabulary fit for captions of faces: byte-pair merges learned from the captions themselves, read by open_clip's tokenizer.

CLIP's own vocabulary of 49,408 tokens would need more weights than the whole text tower here. Any text can still be encoded: words
outside the captions fall back to pieces and bytes.
"""

import gzip
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from facestats_pipeline.core.encoders.mini_towers import CONTEXT, MERGES, MERGES_FILE, VOCABULARY
from facestats_pipeline.core.encoders.open_clip_compat import import_open_clip
from facestats_pipeline.core.mini.captions import corpus

# Words of searches that captions do not have, so that a search spends one or two tokens on them and not one a letter.
EXTRA_WORDS = (
    "smiling smile happy sad angry serious beard bearded moustache glasses sunglasses hat hair blond blonde brunette dark light long "
    "short curly bald wearing with without and or not very looking eyes makeup people men women girls boys group"
)


def learn_merges(texts: list[str], n: int) -> list[tuple[str, str]]:
    """The `n` most frequent adjacent pairs, merged greedily (Sennrich et al. 2016); ties go to the alphabetically first pair."""
    words: dict[tuple[str, ...], int] = Counter()
    for text in texts:
        for word in text.lower().replace("-", " - ").split():
            for piece in [word] if word.isalpha() else list(word):
                words[(*piece[:-1], piece[-1] + "</w>")] += 1
    merges: list[tuple[str, str]] = []
    while len(merges) < n:
        pairs: Counter[tuple[str, str]] = Counter()
        for symbols, count in words.items():
            for pair in pairwise(symbols):
                pairs[pair] += count
        if not pairs:
            raise ValueError(f"the texts have only {len(merges)} merges, {n} were asked for")
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        words = {_merged(symbols, best): count for symbols, count in words.items()}
    return merges


def _merged(symbols: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out: list[str] = []
    for symbol in symbols:
        if out and (out[-1], symbol) == pair:
            out[-1] += symbol
        else:
            out.append(symbol)
    return tuple(out)


def write_merges(folder: Path) -> Path:
    """Learn the vocabulary from 20,000 seeded captions and write it as `folder`/bpe_merges.txt.gz, the same bytes each time."""
    merges = learn_merges(corpus(20_000) + EXTRA_WORDS.split() * 3, MERGES)
    text = "\n".join(
        ["#version: facestats-mini 1", *(" ".join(pair) for pair in merges)]
    )  # no newline at the end: it would be a token
    path = folder / MERGES_FILE
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
    return path


def load_tokenizer(folder: Path) -> Any:
    """open_clip's `SimpleTokenizer` over `folder`'s merges: texts → (n, 32) i64, zero-padded; the end mark is the highest id."""
    path = folder / MERGES_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{path}: the tokenizer's merges are missing; the folder is not a whole encoder")
    tokenizer = import_open_clip().tokenizer.SimpleTokenizer(bpe_path=str(path), context_length=CONTEXT)
    if tokenizer.vocab_size != VOCABULARY:
        raise ValueError(f"{path}: gives {tokenizer.vocab_size} tokens, the text tower has {VOCABULARY}")
    return tokenizer
