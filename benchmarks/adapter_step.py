"""Seconds, operations and peak memory of a training step: LoRA-PT (ranks, both paths), peft's LoRA of as many
parameters, decoder, full.

    python benchmarks/adapter_step.py [--size base] [--shapes 2x48x64x48 1x96x96x96] [--ranks 1 4 8 16] [--rounds 7]
    [--threads 2] [--quick]

Every method runs in a process of its own, on the same random weights, images and labels. For each rank its processes
and that of full fine-tuning stand side by side and take steps in turn, so that a busy machine slows all of them: ratios
are medians over the rounds of ratios within a round. Operations are multiplications of forward and backward as
torch.utils.flop_counter counts them.

Peak memory is that of the whole process (VmHWM: interpreter and libraries included, about the same for all), and `set
by` says whether it was reached before the first step (weights, t-SVD) or in a step. `*`: the path that the cost rule
takes. The last rows are forward passes without gradients: the base network, and the merged one. peft is the optional
peer: without it its rows are left out. The default takes some 12 minutes on two cores, --quick (ranks 1 and 8, three
rounds) four.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

AIMS = {
    "peft": {1: 1.10, 4: 1.10, 8: 1.20},
    "full": {1: 0.90, 4: 0.90, 8: 0.95},
    "peak": {1: 0.70, 4: 0.70, 8: 0.70, 16: 0.70},
}


def peak_mb() -> float:
    """Most resident memory of this process since the last `reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Worker:
    """One method in this process.

    Every command is a line of JSON on standard input, every answer one on standard output.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from hippopt.networks.device import bfloat16_pays
        from hippopt.networks.unetr import DECODER, HEAD, SIZES, build_unetr
        from hippopt.training.loop import segmentation_loss

        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        size, (batch, *patch) = SIZES[options.size], options.shape
        model = build_unetr(1, 3, (patch[0], patch[1], patch[2]), size)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(options.method == "full" or name.startswith((*DECODER, *HEAD)))
        self.adaptation = None
        if options.method == "lora-pt":
            from hippopt.lorapt import adapt
            from hippopt.networks.stacks import unetr_stacks

            stacks = unetr_stacks(size.hidden_size, size.mlp_dim, ("attention", "mlp_up", "mlp_down"))
            self.adaptation = adapt(model, stacks, options.rank)
        elif options.method == "peft":
            from peft import LoraConfig, inject_adapter_in_model

            trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
            config = LoraConfig(r=options.rank, target_modules=["qkv", "out_proj", "linear1", "linear2"])
            model = inject_adapter_in_model(config, model)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in trained or "lora_" in name)
        self.model = model
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters)
        self.loss_of = segmentation_loss()
        self.image, self.label = torch.randn(batch, 1, *patch), torch.randint(0, 3, (batch, 1, *patch))
        self.autocast = bfloat16_pays(torch.device("cpu"))
        self.setup_mb = peak_mb()

    def about(self) -> dict[str, Any]:
        """What does not change from step to step."""
        precision = "bfloat16" if self.autocast else "float32"
        trained = sum(parameter.numel() for parameter in self.parameters)
        return {"trained": trained, "setup_mb": self.setup_mb, "precision": precision, "chosen": self._chosen()}

    def _chosen(self) -> dict[str, str]:
        """The path that the cost rule takes for each stack."""
        from hippopt.lorapt import cheaper_path

        if self.adaptation is None:
            return {}
        tokens = self.image.shape[0] * self.image[0, 0].numel() // 16**3
        factors = self.adaptation.factors
        return {
            stack.name: cheaper_path(tokens, factors[f"{stack.name}.u"].shape[1], factors[f"{stack.name}.v"].shape[1],
                                     *(factors[f"{stack.name}.u"].shape[side] for side in (0, 2)))
            for stack in self.adaptation.stacks
        }  # fmt: skip

    def step(self, path: str | None, count: bool) -> dict[str, float]:
        """{seconds, peak_mb, operations} of a training step. Operations are counted, slowly, where `count`."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode

        if self.adaptation is not None and path is not None:
            self.adaptation.set_path(path)  # type: ignore[arg-type]
        reset_peak()
        before = time.perf_counter()
        counter = FlopCounterMode(display=False)
        with counter if count else torch.enable_grad():
            with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
                logits = self.model(self.image)
            self.loss_of(logits.float(), self.label).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        operations = counter.get_total_flops() / 2 if count else 0
        return {"seconds": time.perf_counter() - before, "peak_mb": peak_mb(), "operations": operations}

    def forward(self) -> dict[str, float]:
        """{seconds} of a forward pass without gradients, of the merged model where there is an adaptation."""
        import torch

        if self.adaptation is not None:
            self.adaptation.merge()
        self.model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            before = time.perf_counter()
            self.model(self.image)
            return {"seconds": time.perf_counter() - before}


def serve(options: argparse.Namespace) -> None:
    """Answer commands until standard input ends."""
    worker = Worker(options)
    print(json.dumps(worker.about()), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        found = worker.forward() if command["do"] == "forward" else worker.step(command["path"], command["count"])
        print(json.dumps(found), flush=True)


class Process:
    """A worker of one method, seen from outside."""

    def __init__(self, options: argparse.Namespace, shape: tuple[int, ...], method: str, rank: int) -> None:
        command = [sys.executable, __file__, "--method", method, "--rank", str(rank), "--size", options.size,
                   "--threads", str(options.threads), "--shape", "x".join(map(str, shape))]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.about = self._answer()

    def ask(self, do: str, path: str | None = None, count: bool = False) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, "path": path, "count": count}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(([*self.process.communicate()[1].strip().splitlines(), "ended"])[-2])
        return json.loads(line)


def equal_peft_rank(size: str, rank: int) -> int:
    """The rank at which peft's LoRA on the same layers trains about as many numbers as LoRA-PT at `rank`."""
    from hippopt.lorapt import factor_count
    from hippopt.networks.unetr import LAYERS, SIZES

    hidden, mlp = SIZES[size].hidden_size, SIZES[size].mlp_dim
    ours = factor_count(hidden, hidden, 4 * LAYERS, rank, "diagonal") + 2 * factor_count(
        mlp, hidden, LAYERS, rank, "diagonal"
    )
    # qkv, output projection, two MLP layers, a rank of 1
    each = LAYERS * (4 * hidden + 2 * hidden + 2 * (hidden + mlp))
    return max(1, round(ours / each))


def _paths(process: Process) -> tuple[str, ...]:
    """What the cost rule takes comes first."""
    chosen = set(process.about["chosen"].values())
    if len(chosen) > 1:
        return ("auto", "activations", "weights")
    return ("activations", "weights") if chosen == {"activations"} else ("weights", "activations")


def measure(
    options: argparse.Namespace, shape: tuple[int, ...], rank: int, first: bool
) -> tuple[dict[str, dict[str, Any]], str]:
    """(rows by name, precision) of one rank beside full.

    The decoder alone, and the forward passes, are measured with the `first`.
    """
    wanted = [("full", "full", 0), ("lora-pt", "lora-pt", rank), ("peft", "peft", equal_peft_rank(options.size, rank))]
    wanted += [("decoder", "decoder", 0)] if first else []
    processes: dict[str, Process] = {}
    for name, method, its_rank in wanted:
        try:
            processes[name] = Process(options, shape, method, its_rank)
        except RuntimeError as error:
            print(f"{name} {its_rank}: left out ({error})")
    turns = [(name, path) for name in processes for path in (_paths(processes[name]) if name == "lora-pt" else (None,))]
    # peaks come from the first steps of a path, before another one has left its freed memory with the process
    first_steps = {turn: [processes[turn[0]].ask("step", turn[1]) for _ in range(2)] for turn in turns}
    counted = {turn: processes[turn[0]].ask("step", turn[1], True) for turn in turns}
    rounds = [{turn: processes[turn[0]].ask("step", turn[1]) for turn in turns} for _ in range(options.rounds)]
    full = ("full", None)
    rows = {}
    for turn in turns:
        about = processes[turn[0]].about
        peaks = [about["setup_mb"], max(each["peak_mb"] for each in first_steps[turn])]
        chosen = set(about["chosen"].values())
        rows["-".join(filter(None, turn))] = {
            "trained": about["trained"],
            "seconds": statistics.median(each[turn]["seconds"] for each in rounds),
            "to_full": statistics.median(each[turn]["seconds"] / each[full]["seconds"] for each in rounds),
            "to_peft": (
                statistics.median(each[turn]["seconds"] / each["peft", None]["seconds"] for each in rounds)
                if "peft" in processes
                else None
            ),
            "operations": counted[turn]["operations"] / counted[full]["operations"],
            "peak_mb": max(peaks),
            "set_by": "setup" if peaks[0] >= peaks[1] else "step",
            "chosen": turn[1] == (chosen.pop() if len(chosen) == 1 else "auto") and turn[0] == "lora-pt",
        }
    if first:
        forward = [
            {name: processes[name].ask("forward")["seconds"] for name in ("full", "lora-pt")}
            for _ in range(options.rounds + 1)
        ][1:]
        for name, key in (("full", "forward, base"), ("lora-pt", "forward, merged")):
            ratio = statistics.median(each[name] / each["full"] for each in forward)
            rows[key] = {"seconds": statistics.median(each[name] for each in forward), "to_full": ratio}
    for process in processes.values():
        process.close()
    return rows, processes["full"].about["precision"]


def report(options: argparse.Namespace, shape: tuple[int, ...]) -> None:
    """Measure one shape and print its table, rank by rank."""
    misses: list[str] = []
    batch, *patch = shape
    for number, rank in enumerate(options.ranks):
        rows, precision = measure(options, shape, rank, number == 0)
        if number == 0:
            print(
                f"\n{options.size} network, patch {patch}, batch {batch}, {options.threads} threads, {precision},"
                f" medians of {options.rounds} rounds"
            )
            print(
                f"{'method':<26}{'trained':>12}{'s a step':>10}{'to full':>9}{'to peft':>9}"
                f"{'operations':>12}{'peak MB':>9}{'to full':>9}  set by"
            )
        for key, row in rows.items():
            if "peak_mb" in row:
                row["peak"] = row["peak_mb"] / rows["full"]["peak_mb"]
            if key.startswith(("lora-pt", "peft")):
                name = (
                    key.replace("lora-pt-", f"lora-pt {rank}, ").replace("peft", f"peft LoRA, as {rank}")
                    + "*" * row["chosen"]
                )
                misses += _missed(name, rank, row) if row["chosen"] else []
            else:
                name = key if number == 0 or key != "full" else f"full, beside {rank}"
            print(_line(name, row), flush=True)
    print("aims missed: " + ("; ".join(misses) or "none"), flush=True)


def _missed(name: str, rank: int, row: dict[str, Any]) -> list[str]:
    found = {"peft": row["to_peft"], "full": row["to_full"], "peak": row["peak"]}
    return [
        f"{name} {key} {found[key]:.2f}, aim {aim[rank]:.2f}"
        for key, aim in AIMS.items()
        if rank in aim and (found[key] or 0) > aim[rank]
    ]


def _line(name: str, row: dict[str, Any]) -> str:
    if "trained" not in row:
        return f"{name:<26}{'':>12}{row['seconds']:>10.3f}{row['to_full']:>9.2f}"
    peer = f"{row['to_peft']:.2f}" if row["to_peft"] and name.startswith("lora-pt") else ""
    line = f"{name:<26}{row['trained']:>12,}{row['seconds']:>10.3f}{row['to_full']:>9.2f}{peer:>9}"
    return f"{line}{row['operations']:>12.2f}{row['peak_mb']:>9.0f}{row['peak']:>9.2f}  {row['set_by']}"


def parse_shape(text: str) -> tuple[int, ...]:
    """`2x48x64x48`: batch and patch."""
    shape = tuple(int(part) for part in text.split("x"))
    if len(shape) != 4:
        raise argparse.ArgumentTypeError(f"{text}: not BATCHxZxYxX")
    return shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="base")
    parser.add_argument("--shapes", type=parse_shape, nargs="+", default=[(2, 48, 64, 48), (1, 96, 96, 96)])
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="ranks 1 and 8, three rounds")
    parser.add_argument("--method", choices=("full", "decoder", "lora-pt", "peft"), help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=parse_shape, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        serve(options)
        return
    if options.quick:
        options.ranks, options.rounds = [1, 8], 3
    for shape in options.shapes:
        report(options, shape)


if __name__ == "__main__":
    main()
