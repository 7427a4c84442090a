"""Input of the tune job, opened and checked before anything is computed: model, states, examples, split."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.activations import open_states, state_source, store_languages
from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import language_token
from isogloss.engine.runtime import json_values, options
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training import examples, sentence_split
from isogloss.engine.training.batches import Mixture, RowReader
from isogloss.engine.training.examples import Example, ExampleReader, Pair
from isogloss.engine.training.sentence_split import GRAM, Split
from isogloss.engine.training.training_step import Schedule
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.encoder_program import Precision
from isogloss.engine.whisper.tokenizer import Tokens

_LOG = logging.getLogger(__name__)
KnownTexts = Mapping[str, set[tuple[str, str]]]
"""(language, text) of everything that is known of each sentence."""
_PASSES = 2  # through the training sentences, where --steps doesn't say
_OF_A_RUN = (
    "average",
    "checkpoint_steps",
    "compilation_cache",
    "dry_run",
    "fisher_from",
    "revision",
    "store",
    "out",
    "texts",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneInput:
    """All that a run needs.

    Attributes:
      checkpoint: the model at the start.
      vocabulary: its tokenizer.
      precision: of the computation.
      split: training and held-out sentences.
      mixture: examples of training.
      dev: held-out examples of the new task.
      old: training examples of the tasks that EWC protects.
      reader: of their arrays.
      schedule: course of the run.
      settings: all that the result depends on, and names for people.
    """

    checkpoint: Checkpoint
    vocabulary: Tokens
    precision: Precision
    split: Split
    mixture: Mixture
    dev: Sequence[Example]
    old: Mapping[str, Sequence[Example]]
    reader: RowReader
    schedule: Schedule
    settings: Mapping[str, Json]


def open_input(config: TuneConfig) -> TuneInput:
    """Input that the options name.

    Raises:
      Refusal: an option, the model, the store or a table can't be used.
    """
    checkpoint = load_checkpoint(config.model, config.revision)
    vocabulary, sizes = Tokens.load(*config.vocabulary_source), checkpoint.dimensions
    made = _example_reader(config, vocabulary, sizes.text_positions)
    every = made.new_task(
        Pair(source=config.source, target=config.target), config.task, config.language_token
    )
    stored = store_languages.codes(config.store)
    named = dict.fromkeys((*config.ewc_tasks, *config.replay))
    texts = _known_texts(every, config)
    split = _split(texts, config)
    # After the split, so that runs with other windows have the same held-out sentences.
    new = _whole(f"{config.source}-{config.target}", every, config, sizes)
    old = {name: _whole(name, made.old_task(examples.pair(name, stored)), config, sizes) for name in named}
    shared = _shared_with_held_out(texts, split, {examples.pair(name, stored): old[name] for name in named})
    old = {name: [e for e in found if e.sentence not in shared] for name, found in old.items()}
    training = [example for example in new if example.sentence not in split.dev]
    known = {name: [e for e in found if e.sentence not in split.dev] for name, found in old.items()}
    _require_left({"the new task": training, **known})
    mixture = _mixture(config, training, known)
    precision = encoder_program.precision_for(jax.default_backend(), config.compute)
    source = _source(config, checkpoint, [new, *old.values()])
    reader = _reader(config, checkpoint, vocabulary, source)
    schedule = _schedule(config, mixture)
    return TuneInput(
        checkpoint=checkpoint,
        vocabulary=vocabulary,
        precision=precision,
        split=split,
        mixture=mixture,
        dev=_held_out(new, split),
        old={name: known[name] for name in config.ewc_tasks},
        reader=reader,
        schedule=schedule,
        settings={
            **_settings(config, checkpoint, vocabulary, source, [new, *old.values()], schedule, precision),
            # Transcriptions of other languages of the store decide on it, and aren't among the examples.
            "held_out_sha256": json_values.sha256(sorted(split.dev)),
        },
    )


def _held_out(new: Sequence[Example], split: Split) -> list[Example]:
    found = [example for example in new if example.sentence in split.dev]
    if split.dev and not found:
        _LOG.warning("all held-out sentences are longer than the window: there will be no dev loss")
    return found


def _example_reader(config: TuneConfig, vocabulary: Tokens, room: int) -> ExampleReader:
    texts = examples.read_texts(config.texts) if config.texts else {}
    return ExampleReader(
        store=config.store,
        texts=texts,
        vocabulary=vocabulary,
        room=room,
        stand_in=language_token.parse(config.stand_in),
    )


def _mixture(
    config: TuneConfig, training: Sequence[Example], known: Mapping[str, Sequence[Example]]
) -> Mixture:
    """Examples of training, those of replayed tasks among them."""
    return Mixture(
        new=training,
        old=[example for name in config.replay for example in known[name]],
        rows=config.batch,
        replayed=config.replayed,
        seed=config.seed,
    )


def _whole(task: str, found: Sequence[Example], config: TuneConfig, sizes: Dimensions) -> list[Example]:
    """Examples of a task whose speech is in the window to its end.

    A decoder that is taught words whose speech it doesn't get learns to go on without speech.
    """
    window = _window(config, sizes)
    beyond = f"their recordings are longer than the model's window of {sizes.positions} frames"
    cut = f"--window={window} cuts their speech"
    whole: list[Example] = []
    left_out: dict[str, list[str]] = {beyond: [], cut: []}
    for example in found:
        if example.truncated:
            left_out[beyond].append(example.sentence)
        elif example.frames > window:
            left_out[cut].append(example.sentence)
        else:
            whole.append(example)
    for reason, names in left_out.items():
        if names:
            listed = first_names(sorted(names))
            _LOG.warning(
                "%s: %d of %d utterances are left out, %s: %s", task, len(names), len(found), reason, listed
            )
    return whole


def _require_left(training: Mapping[str, Sequence[Example]]) -> None:
    """Refuse tasks without a training example."""
    if empty := [name for name, left in training.items() if not left]:
        remedy = "a smaller --dev_share, or recordings that end within the window (see --window)"
        raise Refusal(f"no training sentence is left for {', '.join(empty)}. Remedy: {remedy}")


def _window(config: TuneConfig, sizes: Dimensions) -> int:
    """Frames that the decoder sees."""
    if config.window > sizes.positions:
        raise Refusal(f"--window must be at most the model's {sizes.positions} frames, got {config.window}")
    return config.window or sizes.positions


def _known_texts(new: Sequence[Example], config: TuneConfig) -> KnownTexts:
    """Texts of the new task's sentences: those that are taught, and all transcriptions in the store.

    They decide on the split, so a language that is still to be stored is refused.
    """
    texts = {example.sentence: {(config.target, example.text)} for example in new}
    for language, store in store_languages.every(config.store).items():
        rows = zip(store.coordinate("sentence").tolist(), store.coordinate("transcription"), strict=True)
        for sentence, transcription in rows:
            if sentence in texts:
                texts[sentence].add((language, str(transcription)))
    return texts


def _split(texts: KnownTexts, config: TuneConfig) -> Split:
    """Split of the new task's sentences.

    Options that leave the task as it is leave the split as it is, so that models can be compared: sentences
    of old tasks have no part in it.
    """
    split = sentence_split.split(texts, config.dev_share, config.seed)
    shares = ", ".join(f"{n}: {share:.0%}" for n, share in enumerate(split.overlap, 1))
    _LOG.info(
        "%d of %d sentences are held out, in %d of %d clusters that share no %d-gram; training has of their "
        "n-grams %s",
        len(split.dev),
        len(texts),
        len({split.cluster[sentence] for sentence in split.dev}),
        len(set(split.cluster.values())),
        GRAM,
        shares if split.dev else "none",
    )
    if config.dev_share and not split.dev:
        _LOG.warning(
            "no cluster is as small as --dev_share=%g of the sentences: nothing is held out", config.dev_share
        )
    return split


def _shared_with_held_out(
    texts: KnownTexts, split: Split, old: Mapping[Pair, Sequence[Example]]
) -> frozenset[str]:
    """Sentences that only old tasks have and that share a 4-gram with a held-out one: they aren't taught."""
    others: dict[str, set[tuple[str, str]]] = {}
    for pair, found in old.items():
        for e in found:
            if e.sentence not in texts:
                own = others.setdefault(e.sentence, set())
                own |= {(pair.target, e.text), (pair.source, e.transcription)}
    if shared := sentence_split.sharing({s: texts[s] for s in split.dev}, others):
        _LOG.warning(
            "%d of the %d sentences that only old tasks have share a %d-gram with held-out ones, so they are "
            "left out: %s",
            len(shared),
            len(others),
            GRAM,
            first_names(sorted(shared)),
        )
    return frozenset(shared)


def _source(config: TuneConfig, checkpoint: Checkpoint, found: Sequence[Sequence[Example]]) -> StateSource:
    """Stored states of the languages that the examples are spoken in."""
    return open_states.open_store(
        config.store,
        checkpoint,
        config.states,
        languages=sorted({example.language for task in found for example in task}),
        silence=True,
        compute=config.compute,
    )


def _reader(config: TuneConfig, checkpoint: Checkpoint, vocabulary: Tokens, source: StateSource) -> RowReader:
    sizes = checkpoint.dimensions
    return RowReader(
        source=source,
        window=_window(config, sizes),
        norm=source.apply_norm[0] or (config.states != (state_source.FINAL,) and config.exit_norm),
        eot=vocabulary.eot,
        positions=sizes.text_positions,
    )


def _schedule(config: TuneConfig, mixture: Mixture) -> Schedule:
    fresh = mixture.rows - mixture.replayed
    steps = config.steps or -(-_PASSES * len(mixture.new) // fresh)
    warmup = -(-steps // 10) if config.warmup is None else config.warmup
    if warmup >= steps > 1:
        raise Refusal(f"--warmup must be less than the run's {steps} steps, got {warmup}")
    return Schedule(
        steps=steps,
        warmup=min(warmup, steps - 1),
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        ewc=config.ewc,
        anchor=config.anchor,
    )


def _settings(
    config: TuneConfig,
    checkpoint: Checkpoint,
    vocabulary: Tokens,
    source: StateSource,
    found: Sequence[Sequence[Example]],
    schedule: Schedule,
    precision: Precision,
) -> dict[str, Json]:
    """Values that the result depends on, without the shares of --average, which leave the run as it is."""
    own = {name: value for name, value in options.recorded(config).items() if name not in _OF_A_RUN}
    taught = [
        (e.language, e.row, e.sentence, e.transcription, e.prompt, e.ids) for task in found for e in task
    ]
    return {
        **own,
        "model": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "vocabulary_sha256": json_values.sha256(vocabulary.backend.to_str()),
        "state": config.states[0],
        "states": {language: source.identity(language) for language in source.languages},
        "examples_sha256": json_values.sha256(taught),
        "steps": schedule.steps,
        "warmup": schedule.warmup,
        "compute": precision.compute,
        # Runs of earlier versions, which added the penalty's gradient to the loss's, don't go on here.
        **({"penalty": "proximal"} if schedule.ewc or schedule.anchor else {}),
    }
