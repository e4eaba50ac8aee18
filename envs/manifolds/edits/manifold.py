"""A latent space of sentences whose frames are edits of the input."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.manifolds.edits.codes import SentenceCodes, fit_codes
from envs.manifolds.edits.filler import Filler, FillerTraining, fit_filler, padded
from envs.manifolds.edits.graph import Around, EditGraph, Node
from envs.manifolds.edits.language import identity
from envs.manifolds.edits.pretrained import Pretrained
from envs.manifolds.edits.proposals import KEPT, propose
from envs.manifolds.edits.trigrams import Trigrams
from envs.manifolds.fitting import untrained
from envs.manifolds.prior import Prior
from envs.modalities.vocabulary import END, SPECIALS, Vocabulary
from envs.runtime.torch_defaults import in_usual_torch

BEAM = 8  # candidates that are followed where a code is decoded without the sentence before
DEEPEST = 6  # edits of a decoded sentence
WRITTEN = 3  # times that a word occurs before the model writes it
MEANINGS = 7  # latent coordinates besides those of the classes
GRAPHS = 1024  # inputs whose proposals are kept in memory
RADIUS = 12.0  # half the width of the box of codes, in standard deviations


class Edits(Manifold):
    """Sentences within a few edits of the input, in one latent space that all inputs share.

    A code says where a sentence lies (`SentenceCodes`). A step moves the code, and the next frame is the nearest sentence
    among the present one and those that differ from it by one span of words (`nearest`); the code becomes that sentence's own.
    So every frame is a sentence, frame 0 is the input, and neighbouring frames differ by one span. The masked model proposes
    the edits of an input once; they are kept.

    Args:
        words: The vocabulary without its special words.
        length: Number of ids per sentence L.
        written: Number of ids that the masked model writes.
        classes: Number of classes K.
        known: Number of pairs of words that the encoder knows, and of sentences N of the corpus.
        meanings: Latent coordinates besides the K - 1 of the classes.
        widths: Widths of the word embeddings and of the masked model's states.
        tokeniser: Tokeniser of the vocabulary.
        most: The most edits proposed for a sentence.
        proposer: Folder or GGUF file of a pretrained language model that proposes instead, see `Pretrained`.

    Example:
        >>> texts = ["a good film", "a bad film", "a good plot", "a bad plot"] * 8
        >>> predictions = torch.tensor([[0.1, 0.9], [0.9, 0.1]] * 16)
        >>> edits = Edits.fit(texts, predictions, epochs=30)
        >>> x = edits.vocabulary.ids(["a bad film"])
        >>> z = edits.encode(edits.vocabulary.ids(["a good film"]))
        >>> edits.vocabulary.texts(edits.nearest(z, x, x)[1])
        ['a good film']
    """

    kind = "edits"
    modality = "text"
    input_conditioned = True
    on_graph = True
    filler: Filler
    codes: SentenceCodes
    corpus: Tensor

    def __init__(
        self,
        words: Sequence[str],
        length: int,
        written: int,
        classes: int,
        known: Sequence[int] = (0, 0),
        meanings: int = MEANINGS,
        widths: Sequence[int] = (64, 96),
        tokeniser: str = "words",
        most: int = KEPT,
        proposer: str | None = None,
    ) -> None:
        super().__init__(classes - 1 + meanings)
        self.vocabulary = Vocabulary(words, length, tokeniser)
        self.data_shape = (self.vocabulary.length,)
        size = classes - 1 + meanings
        self.prior = Prior("none", size, samples=[[-RADIUS] * size, [RADIUS] * size])
        self.widths, self.most, self.proposer = tuple(widths), most, proposer
        pairs, sentences = known
        self.filler = Filler(self.vocabulary.size, written, *self.widths)
        self.codes = SentenceCodes(self.vocabulary.size, pairs, classes, meanings)
        self.register_buffer("corpus", torch.full((sentences, length), END, dtype=torch.int32))
        self._graphs: dict[bytes, EditGraph] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable arguments that build an untrained copy."""
        return {
            "words": list(self.vocabulary.words),
            "length": self.vocabulary.length,
            "written": self.filler.written,
            "classes": len(self.codes.basis),
            "known": [len(self.codes.keys), len(self.corpus)],
            "meanings": self.codes.meaning.shape[1],
            "widths": list(self.widths),
            "tokeniser": self.vocabulary.tokeniser,
            "most": self.most,
            "proposer": self.proposer,
        }

    # ---- sentences and codes -----------------------------------------------------------------------------------------

    def encode(self, x: Tensor) -> Tensor:
        """Codes (B, d) of ids (B, L)."""
        return self.prior.project(self.codes(self.vocabulary.known(x)))

    def decode(self, z: Tensor) -> Tensor:
        """The sentences of the corpus, ids (B, L), whose codes are nearest to codes (B, d)."""
        return self.corpus[torch.cdist(z, self._corpus_codes).argmin(1)].long()

    @cached_property
    def _corpus_codes(self) -> Tensor:
        return self.encode(self.corpus.long())

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Decode codes along walks from given inputs: the nearest sentence within a few edits of the input.

        It is searched from the input on, edit by edit, `BEAM` sentences at a time. Along a walk, `nearest` is exact.

        Args:
            z: Codes, (B, d).
            factual: Inputs of the walks, (B, L); None for codes that belong to no input: a sentence of the corpus.
        """
        if factual is None:
            return self.decode(z)
        return self.rows([self._nearest_of_all(self.graph(x), code) for code, x in zip(z, factual, strict=True)])

    def nearest(self, z: Tensor, frame: Tensor, factual: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest of each present sentence and its neighbours on the graph of edits of the input.

        Args:
            z: Codes, (B, d).
            frame: Present sentences, (B, L).
            factual: Inputs of the walks, (B, L).

        Returns:
            The codes (B, d) and ids (B, L) of the nearest sentences.
        """
        codes, rows = [], []
        for code, here, x in zip(z, frame, factual, strict=True):
            graph = self.graph(x)
            around = self.around(graph, self.node(graph, here))
            best = int((around.places - code).square().sum(1).argmin())
            codes.append(around.places[best])
            graph.seen[codes[-1].numpy().tobytes()] = around.nodes[best]
            rows.append(graph.sentence(around.nodes[best]))
        return torch.stack(codes), self.rows(rows)

    def node(self, graph: EditGraph, frame: Tensor) -> Node:
        """The node of a sentence (L,).

        Raises:
            ManifoldError: If no edits of the input make it.
        """
        found = graph.find(words_of(frame))
        if found is None:
            raise ManifoldError(f"{self.vocabulary.texts(frame[None])[0]!r} is not made by edits of the walk's input")
        return found

    def around(self, graph: EditGraph, node: Node) -> Around:
        """A node, first, and its neighbours."""
        if node not in graph.around:
            nodes = [node, *graph.neighbours(node)]
            graph.around[node] = Around(nodes, self.places(graph, nodes), torch.tensor([graph.loss(each) for each in nodes]))
        return graph.around[node]

    def _nearest_of_all(self, graph: EditGraph, z: Tensor) -> list[int]:
        """Ids of the words of the nearest sentence that is found from the input on."""
        front: list[Node] = [()]
        known = graph.seen.get(z.numpy().tobytes())
        if known is not None:
            return graph.sentence(known)
        best: Node = ()
        least = float((self.places(graph, front)[0] - z).norm())
        for _ in range(DEEPEST):
            nodes = list(dict.fromkeys(more for node in front for more in graph.neighbours(node) if len(more) > len(node)))
            if least < 1e-4 or not nodes:
                break
            gap = (self.places(graph, nodes) - z).norm(dim=1)
            front = [nodes[k] for k in gap.topk(min(BEAM, len(nodes)), largest=False).indices.tolist()]
            if float(gap.min()) < least:
                best, least = front[0], float(gap.min())
        return graph.sentence(best)

    def places(self, graph: EditGraph, nodes: Sequence[Node]) -> Tensor:
        """Codes (R, d) of nodes of a graph."""
        return self.encode(padded([graph.sentence(node) for node in nodes]))

    def graph(self, x: Tensor) -> EditGraph:
        """The graph of edits of one input x (L,). Proposals are made once for an input."""
        key = x.numpy().tobytes()
        if key not in self._graphs:
            if len(self._graphs) >= GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            words, longest = words_of(x), self.vocabulary.length - 1
            with torch.inference_mode():
                if self.proposer is None:
                    edits = propose(self.filler, self.codes, words, longest, self.likelihood, self.most)
                else:
                    edits = self._pretrained.propose(words, longest, self.most)
            self._graphs[key] = EditGraph(words, edits, longest)
        return self._graphs[key]

    @cached_property
    def _pretrained(self) -> Pretrained:
        assert self.proposer is not None
        return Pretrained(self.proposer, self.vocabulary, self.filler, self.codes)

    def fluency(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Fluency of rows of word ids by the masked model, (R,), in nats per word; see `Filler.fluency`."""
        return self.filler.fluency(self.vocabulary.known(padded(rows)))

    def likelihood(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """The same by trigrams, in a thirtieth of the time: proposals are chosen among many edits."""
        return self._trigrams.fluency(self.vocabulary.known(padded(rows)), self.filler.log_frequency)

    @cached_property
    def _trigrams(self) -> Trigrams:
        return Trigrams(self.corpus.long(), self.vocabulary.size)

    def losses(self, graph: EditGraph, nodes: Sequence[Node]) -> list[float]:
        """Losses of fluency of nodes against the input, nats per word, at least 0; their edits judged together.

        A pretrained proposer has judged each edit alone; the masked model of the corpus says what they lose beside each other.
        """
        value = self.fluency([graph.words, *(graph.sentence(node) for node in nodes)])
        lost = (value[0] - value[1:]).clamp_min(0)
        if self.proposer is None:
            return lost.tolist()
        alone = {k: 0.0 for node in nodes for k in node}
        value = self.fluency([graph.words, *(graph.sentence((k,)) for k in alone)])
        alone |= dict(zip(alone, (value[0] - value[1:]).clamp_min(0).tolist(), strict=True))
        beside = [max(0.0, both - sum(alone[k] for k in node)) for both, node in zip(lost.tolist(), nodes, strict=True)]
        return [graph.loss(node) + more for node, more in zip(nodes, beside, strict=True)]

    def rows(self, sentences: Sequence[Sequence[int]]) -> Tensor:
        """Ids (B, L) in data space of rows of word ids."""
        return padded(sentences, self.vocabulary.length)

    def expected(self, z: Tensor) -> Tensor:
        """The classifier's log probabilities (B, K) as codes (B, d) predict them, without a query."""
        return self.codes.expected(z)

    # ---- codes are the coordinates -----------------------------------------------------------------------------------

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """The codes themselves; see `Manifold.coordinates`."""
        return z

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """The tangents: the coordinates are the codes."""
        return tangent

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """The cotangents: the coordinates are the codes."""
        return cotangent

    def jacobian(self, z: Tensor) -> Tensor:
        """The identity (B, d, d): the coordinates are the codes."""
        return torch.eye(self.latent_dim).expand(len(z), -1, -1)

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        texts: Sequence[str],
        predictions: Tensor,
        *,
        vocabulary: Vocabulary | None = None,
        meanings: int = MEANINGS,
        embedding: int = 64,
        hidden: int = 96,
        most: int = KEPT,
        proposer: str | Path | None = None,
        progress: bool = False,
        **training: Any,
    ) -> Edits:
        """Fit the masked model and the encoder to a corpus.

        Args:
            texts: N sentences.
            predictions: The classifier's probabilities for them, (N, K).
            vocabulary: Vocabulary of the corpus; default: built from it.
            meanings: Latent coordinates besides the K - 1 of the classes.
            embedding: Width of the word embeddings.
            hidden: Width of the masked model's states.
            most: The most edits proposed for a sentence.
            proposer: Folder or GGUF file of a pretrained language model that proposes the edits ([lm] extra).
            progress: Show a progress bar.
            **training: Fields of `FillerTraining`.

        Returns:
            The manifold, frozen and in eval mode.

        Raises:
            ManifoldError: If there are fewer than two sentences, as many predictions are missing, or a size is below 1.
        """
        if min(meanings, embedding, hidden, most) < 1 or meanings > embedding:
            raise ManifoldError(
                f"meanings, embedding, hidden and most must be at least 1, and meanings at most embedding, not {meanings}, "
                f"{embedding}, {hidden} and {most}"
            )
        vocabulary = Vocabulary.of(texts) if vocabulary is None else vocabulary
        ids = vocabulary.known(vocabulary.ids(list(texts)))
        if len(ids) < 2 or len(predictions) != len(ids):
            raise ManifoldError(
                f"edits need at least 2 sentences and a prediction for each, got {len(ids)}, {len(predictions)}"
            )
        if proposer is not None:
            identity(proposer)  # a missing model is an error now, not after the training
        how = FillerTraining(**training)
        counts = torch.bincount(ids.flatten(), minlength=vocabulary.size)[len(SPECIALS) :]
        written = len(SPECIALS) + max(2, int((counts >= WRITTEN).sum()))  # the vocabulary begins with the most frequent words
        filler = untrained(lambda: Filler(vocabulary.size, written, embedding, hidden), how.seed)
        fit_filler(filler, ids, how, progress)
        codes = fit_codes(ids, predictions, filler.embedding.weight.detach(), meanings)
        known, widths = (len(codes.keys), len(ids)), (embedding, hidden)
        names, length, tokeniser = vocabulary.words, vocabulary.length, vocabulary.tokeniser
        edits = cls(
            names, length, filler.written, predictions.shape[1], known, meanings, widths, tokeniser, most, _text(proposer)
        )
        edits.filler, edits.codes, edits.corpus = filler, codes, ids.int()
        edits.eval().requires_grad_(False)
        edits.remember_codes(edits.encode(ids))
        return edits


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def words_of(row: Tensor) -> list[int]:
    """Ids of the words of a row (L,): all before the end mark."""
    ids = row.tolist()
    return ids[: ids.index(END)] if END in ids else ids
