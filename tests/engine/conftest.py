"""What several rooms need: oracles, models of bytes, runs of decoder jobs, broken recordings, a browser."""

import dataclasses
import functools
import shutil

import browser as chromium
import hub_stand_in
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
import tokenizers
from flax import nnx
from scipy.special import erf
from tokenizers import decoders, models, pre_tokenizers

from isogloss.engine.activations import extract
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.whisper import parameters

PUBLISHED = {  # mels, features, heads, layers of encoder and decoder, vocabulary
    "tiny.en": (80, 384, 6, 4, 4, 51864),
    "tiny": (80, 384, 6, 4, 4, 51865),
    "base.en": (80, 512, 8, 6, 6, 51864),
    "base": (80, 512, 8, 6, 6, 51865),
    "small.en": (80, 768, 12, 12, 12, 51864),
    "small": (80, 768, 12, 12, 12, 51865),
    "medium.en": (80, 1024, 16, 24, 24, 51864),
    "medium": (80, 1024, 16, 24, 24, 51865),
    "large-v1": (80, 1280, 20, 32, 32, 51865),
    "large-v2": (80, 1280, 20, 32, 32, 51865),
    "large-v3": (128, 1280, 20, 32, 32, 51866),
    "large-v3-turbo": (128, 1280, 20, 32, 4, 51866),
}


@pytest.fixture(scope="session")
def scikit_bio():
    """scikit-bio's distances, an oracle. It imports PyTorch if it can, so only who asks for it waits."""
    distance = pytest.importorskip("skbio.stats.distance", reason="the oracle is scikit-bio's Mantel test")
    jax.config.update("jax_enable_x64", False)  # scikit-bio turns it on when it is imported
    return distance


@pytest.fixture(scope="session")
def extract_config(speech, model_folder):
    """Function that makes options of the extract job of others: the small corpus and model stand in them."""
    return functools.partial(extract.ExtractConfig, corpus=f"manifest:{speech}", model=str(model_folder))


@pytest.fixture(scope="module")
def two_states(tmp_path_factory, extract_config):
    """Store of the first and the final state, in float32; a test that damages it makes a copy."""
    root = tmp_path_factory.mktemp("two_states") / "store"
    config = extract_config(store=root, states=("0", "final"), dtype="float32")
    assert extract.run(config).complete
    return root


@pytest.fixture(scope="session")
def checkpoint(model_folder):
    """Small model, loaded."""
    return load_checkpoint(str(model_folder))


@pytest.fixture(scope="session")
def shards(files):
    """Function from a store to the bytes of every utterance's file, by path."""
    return functools.partial(files, pattern="**/c.*")


@pytest.fixture(scope="session")
def published():
    """Function from the name of a published Whisper to its sizes."""

    def sizes(name):
        mels, features, heads, encoder, decoder, vocabulary = PUBLISHED[name]
        return Dimensions(
            mels=mels, features=features, heads=heads, encoder_layers=encoder, decoder_layers=decoder,
            positions=1500, text_positions=448, vocabulary=vocabulary, ffn=4 * features,
        )  # fmt: skip

    return sizes


class Float64Whisper:
    """Whisper's layers and its decoder in NumPy float64, without a line of the product's."""

    def __init__(self, tensors, heads):
        self.p = {name: value.astype(np.float64) for name, value in tensors.items()}
        self.heads = heads

    @staticmethod
    def gelu(x):
        return 0.5 * x * (1 + erf(x / np.sqrt(2)))

    def norm(self, x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * self.p[f"{name}.weight"] + self.p[f"{name}.bias"]

    def linear(self, x, name):
        return x @ self.p[f"{name}.weight"].T + self.p.get(f"{name}.bias", 0.0)

    def attend(self, x, known, name, *, causal=False):
        """What rows of x make of those known, and the weights of every head."""
        sources = {"q": x, "k": known, "v": known}
        whole = [self.linear(rows, f"{name}.{letter}_proj") for letter, rows in sources.items()]
        split = [np.split(rows, self.heads, axis=1) for rows in whole]
        mixed, maps = [], []
        for query, key, value in zip(*split, strict=True):
            scores = query @ key.T / np.sqrt(query.shape[1])
            scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf) if causal else scores
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            maps.append(weights / weights.sum(-1, keepdims=True))
            mixed.append(maps[-1] @ value)
        return self.linear(np.concatenate(mixed, -1), f"{name}.out_proj"), np.stack(maps)

    def feed(self, x, name):
        """The last branch of a block, added."""
        hidden = self.gelu(self.linear(self.norm(x, f"{name}.final_layer_norm"), f"{name}.fc1"))
        return x + self.linear(hidden, f"{name}.fc2")

    def decode(self, tokens, memory, layers):
        """Logits after each token, and the cross-attention of every layer and head."""
        embedded = self.p["decoder.embed_tokens.weight"]
        x, maps = embedded[tokens] + self.p["decoder.embed_positions.weight"][: len(tokens)], []
        for name in (f"decoder.layers.{layer}" for layer in range(layers)):
            normed = self.norm(x, f"{name}.self_attn_layer_norm")
            x = x + self.attend(normed, normed, f"{name}.self_attn", causal=True)[0]
            normed = self.norm(x, f"{name}.encoder_attn_layer_norm")
            mixed, found = self.attend(normed, memory, f"{name}.encoder_attn")
            x = self.feed(x + mixed, name)
            maps.append(found)
        return self.norm(x, "decoder.layer_norm") @ embedded.T, np.stack(maps)


@pytest.fixture(scope="session")
def float64_whisper():
    """The class; made of tensors by name and the number of heads."""
    return Float64Whisper


@pytest.fixture(scope="session")
def whisper_config():
    """Function from sizes to the configuration of transformers' Whisper."""
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")

    def make(sizes, eot=0, **options):
        return transformers.WhisperConfig(
            **{f"{side}_attention_heads": sizes.heads for side in ("encoder", "decoder")},
            **{f"{side}_ffn_dim": sizes.ffn for side in ("encoder", "decoder")},
            **{f"{token}_token_id": eot for token in ("pad", "bos", "eos")},
            vocab_size=sizes.vocabulary, num_mel_bins=sizes.mels, d_model=sizes.features,
            encoder_layers=sizes.encoder_layers, decoder_layers=sizes.decoder_layers,
            max_source_positions=sizes.positions, max_target_positions=sizes.text_positions,
            decoder_start_token_id=3, suppress_tokens=None, begin_suppress_tokens=None, **options,
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def torch_whisper(whisper_config):
    """Function from tensors by name and their sizes to transformers' PyTorch Whisper."""
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")

    def make(tensors, sizes, eot=0, **options):
        config = whisper_config(sizes, eot, **options)
        model = transformers.WhisperForConditionalGeneration(config).eval()
        model.model.load_state_dict({name: torch.from_numpy(t.copy()) for name, t in tensors.items()})
        return model

    return make


@pytest.fixture(scope="session")
def byte_model(random_model, sizes):
    """Function that makes the folder of a model of a 2 s window and 48 tokens, with a tokenizer of bytes.

    Their ids are 0 to 255, that of the end of text is 256; `ending` is added to its logit.
    """

    def make(name, languages, seed, *, spread, decoder_layers, ending=0.0):
        tags = ["endoftext", "startoftranscript", *languages, "translate", "transcribe", "startoflm"]
        special = [f"<|{tag}|>" for tag in (*tags, "startofprev", "nospeech", "notimestamps")]
        own = {"decoder_layers": decoder_layers, "text_positions": 48, "vocabulary": 256 + len(special)}

        def end_sooner(tensors):
            end = tensors["decoder.embed_tokens.weight"][256]
            tensors["decoder.layer_norm.bias"] += (ending * end / (end @ end)).astype(np.float32)

        all_sizes = dataclasses.replace(sizes, **own)
        folder = random_model(name, all_sizes, seed, spread=spread, change=end_sooner)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        backend = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens([tokenizers.AddedToken(token, special=True) for token in special])
        backend.save(str(folder / "tokenizer.json"))
        return folder

    return make


@pytest.fixture(scope="session")
def reader(byte_model):
    """Folder of a model whose attention is sharp enough to distinguish frames."""
    return byte_model("reader", ("en", "fr", "zh"), 4, spread=3, decoder_layers=2)


@pytest.fixture(scope="session")
def talker(byte_model):
    """Folder of a model that writes bytes: some texts end, some are cut."""
    return byte_model("talker", ("en", "kk", "fr"), 3, spread=2, decoder_layers=1, ending=1.5)


@pytest.fixture(scope="session")
def transcribing(talker, speech):
    """Function from OUT to the configuration that transcribes the corpus from every exit."""
    from isogloss.engine.transcription import transcribe  # noqa: PLC0415 seconds that few modules need

    def configure(out):
        return transcribe.TranscribeConfig(
            corpus=f"manifest:{speech}", model=str(talker), out=out,
            stand_in=("aa=en", "bb=kk", "cc=fr"),
            states=(), exit_norm="both", )  # fmt: skip

    return configure


@pytest.fixture(scope="session")
def transcribed(tmp_path_factory, transcribing):
    """Configuration and summary of an undisturbed run of transcribe; tests only read what it wrote."""
    from isogloss.engine.transcription import transcribe  # noqa: PLC0415 as above

    config = transcribing(tmp_path_factory.mktemp("transcribed") / "out")
    return config, transcribe.run(config)


@pytest.fixture(scope="session")
def aligned(tmp_path_factory, reader, speech):
    """Configuration and summary of an undisturbed run of align."""
    from isogloss.engine.alignment import align  # noqa: PLC0415 as above

    config = align.AlignConfig(
        corpus=f"manifest:{speech}", model=str(reader), out=tmp_path_factory.mktemp("aligned") / "out",
        stand_in=("aa=en", "bb=fr", "cc=en"), )  # fmt: skip
    return config, align.run(config)


@pytest.fixture(scope="session")
def taught():
    """The decoder alone, without batches or rounding of shapes."""

    def run(folder, states, visible, apply_norm, tokens, heads):
        """Cross-attention scores (B, A, T, N), and of each token its probability among all ids (B, T)."""
        checkpoint = load_checkpoint(str(folder))
        graph, shapes = parameters.build_decoder(checkpoint.dimensions, dtype=jnp.dtype("float32"))
        layers = checkpoint.dimensions.decoder_layers
        loaded = parameters.load(shapes, checkpoint.read, layers, parameters.DECODER)
        weights = parameters.cast(loaded, jnp.dtype("float32"))
        tokens, visible = jnp.asarray(tokens, jnp.int32), jnp.asarray(visible, jnp.int32)

        @jax.jit  # one program; alone its operations are 60
        def read(weights, states, apply_norm):
            decoder = nnx.merge(graph, weights)
            memory = decoder.enter(states, visible, apply_norm)
            logits = decoder(tokens, memory, visible)[:, :-1]
            return decoder.teach(tokens, memory, visible, heads)[1], jax.nn.softmax(logits)

        scores, likely = read(weights, jnp.asarray(states), jnp.asarray(apply_norm))
        chosen = jnp.take_along_axis(likely, tokens[:, 1:, None], axis=-1)[..., 0]
        return np.asarray(scores), np.pad(chosen, ((0, 0), (1, 0)), constant_values=np.nan)

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Browser of a module's tests."""
    with chromium.started(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def width():
    """Pixels across; a module may have others."""
    return 1400


@pytest.fixture
def theme():
    """Light or dark."""
    return "light"


@pytest.fixture
def page(browser, address, width, theme, request):
    """The module's page, once its READY is true; afterwards no error may have been written to the console."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    browser.open(address, width, request.module.READY)
    yield browser
    assert browser.errors == []


@pytest.fixture
def broken(tmp_path, speech):
    """The corpus again, with one recording of every broken kind in language "aa"."""
    folder = tmp_path / "broken"
    shutil.copytree(speech.parent, folder)
    rate, tone = 16_000, 0.1 * np.sin(np.arange(16_000) / 5)
    (folder / "empty.wav").touch()
    (folder / "text.wav").write_text("this is a text file, not a sound\n" * 50)
    soundfile.write(folder / "zero.wav", np.zeros(0), rate)
    soundfile.write(folder / "nan.wav", np.where(np.arange(16_000) == 7, np.nan, tone), rate, subtype="FLOAT")
    soundfile.write(folder / "eight.wav", np.repeat(tone[:, None], 8, axis=1), rate)
    soundfile.write(folder / "cut.wav", tone, rate)
    cut = (folder / "cut.wav").read_bytes()
    (folder / "cut.wav").write_bytes(cut[:9000])
    kinds = ("empty", "text", "zero", "nan", "eight", "cut")
    with (folder / "speech.tsv").open("a") as manifest:
        for kind in kinds:
            manifest.write(f"aa\tx-{kind}\t{kind}.wav\t{kind}\n")
    return folder / "speech.tsv", kinds


@pytest.fixture
def hub():
    """A hub on this machine."""
    with hub_stand_in.running() as server:
        yield server


@pytest.fixture
def looked_at(monkeypatch):
    """Recordings that were looked at in any way, asked for their size or opened: start of name, and how."""
    from isogloss.engine.corpora import audio  # noqa: PLC0415 as above

    found = []
    real_at, real_open = audio.FileSource.at, audio.FileSource.open

    def at(path, name):
        found.append((name[:4], "stat"))
        return real_at(path, name)

    def opened(source):
        found.append((source.name[:4], "open"))
        return real_open(source)

    monkeypatch.setattr(audio.FileSource, "at", at)
    monkeypatch.setattr(audio.FileSource, "open", opened)
    return found
