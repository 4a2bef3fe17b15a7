"""What a call should give: ATen's own answer, a float64 one where it means the same, and the room
between them.

Runs reference code only. Never runs, loads or times a candidate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from backend_bench.cases import Call
from backend_bench.grading.choices import Choice, arguments, choice_of
from backend_bench.grading.inputs import (
    clone_call,
    leaves,
    map_tensors,
    overlaps_itself,
    storage_of,
    tensors_of,
    view_key,
)
from backend_bench.grading.running import (
    REFUSALS,
    Run,
    not_ours,
    on_host,
    raised_dtype,
    run_raised,
    run_reference,
    run_wide,
)
from backend_bench.grading.running import Unjudgeable as Unjudgeable
from backend_bench.grading.sameness import is_floating, same_bits, same_places, same_values
from backend_bench.grading.tolerance import (
    Results,
    growth,
    growth_alone,
    has_table,
    table_tolerance,
    with_own_error,
)
from backend_bench.grading.traits import (
    CONTESTED_WRITES,
    DRAWN_WINDOWS,
    EXACT,
    JUMPS,
    PRODUCTS,
    TOTALS,
    UNDEFINED_OUTPUTS,
    UNSHAPED_OUTPUTS,
    Op,
    base_name,
    unjudgeable,
)
from backend_bench.submission import Profile

Scalar = bool | int | float | complex
_FEW = 1000  # elements below which two random results may agree by chance
_RERUNS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """What one output, or one input after the call, should be."""

    kind: Literal["tensor", "scalar", "none"]
    """What sort of value."""
    reference: Tensor | Scalar | None
    """ATen's own answer."""
    oracle: Tensor | None = None
    """The float64 answer where it is believed, ATen's elsewhere; None: only `reference` counts."""
    allowance: Tensor | None = None
    """Largest absolute error at each element around `oracle`; None: the values must be the same."""
    also: Tensor | None = None
    """Where ATen's own answer is right too, at the table's tolerance."""
    table: Tensor | None = None
    """The dtype's own tolerance at each element."""
    choice: Choice | None = None
    """Set where the values are indices, judged by what they select."""
    unordered_dim: int | None = None
    """A dimension along which any order is right."""
    device: str = ""
    """Where a tensor has to be, if not where `reference` is: small ones are compared on the CPU."""
    undefined: str = ""
    """Why the values are nobody's business; shape and dtype still are."""
    unshaped: bool = False
    """Whether even the shape is ATen's own business."""
    contested: Tensor | None = None
    """Elements that several unordered writes meet in: any value."""
    must_be: int | None = None
    """Number of the input leaf that this output has to be."""
    may_share: frozenset[int] = frozenset()
    """Numbers of the input leaves whose storage this output may share."""


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """All that the checker has to know about one call; holds no candidate's data."""

    op: str
    """The operator, `add.Tensor`."""
    profile: Profile
    """The rules by which it is checked."""
    outputs: tuple[Expected, ...]
    """The output leaves."""
    single: bool
    """Whether the operator returns a bare value and no tuple."""
    inputs: tuple[Expected, ...]
    """Every input leaf as the call should leave it."""
    written: frozenset[int] = frozenset()
    """Numbers of the input leaves that the operator writes to."""
    same_as: tuple[int, ...] = ()
    """For each input leaf, the first leaf that is the very same view of memory."""
    notes: tuple[str, ...] = ()
    """What a reader must know: where the oracle was not believed, what is not compared."""
    admissible: bool = True
    """False where ATen and the oracle disagree about the places of NaN and infinity."""


def admissible(expectation: Expectation) -> bool:
    """Whether a drawn edge may be used: its answer is clear to within the tolerance."""
    return expectation.admissible


def expect(op: Op, call: Call, *, profile: Profile = "strict") -> Expectation:
    """Work out what `op` should do with `call`; raises `Unjudgeable` where no judgement is valid.

    Under `strict` the call is left alone, and must be left alone until its check. Under
    `backendbench` the reference runs on the call itself, as it does there: send it afterwards.
    """
    if reason := unjudgeable(op):
        raise Unjudgeable(f"{op}: {reason}")
    if any(tensor.layout is not torch.strided for tensor in tensors_of(call)):
        raise Unjudgeable(f"{op}: only strided tensors are compared")
    return _lenient(op, call) if profile == "backendbench" else _Trial(op, call).expectation()


# ------------------------------------------------------------------------------ memory identity


def _same_as(tensors: list[Tensor]) -> tuple[int, ...]:
    first: dict[tuple[Any, ...], int] = {}
    return tuple(first.setdefault((*view_key(t), t.dtype, t.device), n) for n, t in enumerate(tensors))


def _leaf_numbers(op: Op, call: Call) -> dict[str, list[int]]:
    """For each argument of the schema, the numbers of its tensors in `tensors_of` order."""
    names = [argument.name for argument in op._schema.arguments]
    given = list(zip(names, call.args, strict=False)) + sorted(call.kwargs.items())
    numbers, count = {}, 0
    for name, value in given:
        found = len(list(leaves(value)))
        numbers[name] = list(range(count, count + found))
        count += found
    return numbers


# -------------------------------------------------------------------------------------- strict


class _Trial:
    """One strict expectation in the making: reference, oracle, then leaf by leaf."""

    def __init__(self, op: Op, call: Call) -> None:
        self.op, self.call = op, call
        self.before = tensors_of(call)
        self.reference = run_reference(op, clone_call(call))
        self._refuse_random()
        self._refuse_memory()
        self.exact = _is_exact(op, call)
        self.device = self._device()
        self.oracle = self._oracle()
        self._refuse_moved_windows()
        self.written = self._written()
        self.grown = self._growth()
        self.notes: list[str] = []
        self.admissible = not self._overflows_half_way()

    def _device(self) -> str:
        """Where ATen put its results, or found its arguments."""
        tensors = self.reference.tensors
        return tensors[0].device.type if tensors else "cpu"

    def _oracle(self) -> tuple[Run, Call] | None:
        """The float64 run; small calls move to the CPU for it and for all that follows."""
        moved = on_host(self.call, self.reference)
        if moved is not None and (oracle := run_raised(self.op, *moved)) is not None:
            self.call, self.reference = moved
            self.before = tensors_of(self.call)
            return oracle
        return run_raised(self.op, self.call, self.reference)

    def _refuse_random(self) -> None:
        """Operators that may draw random numbers are judged only where all runs agree."""
        if torch.Tag.nondeterministic_seeded not in self.op.tags or self._drops_nothing():
            return
        small = sum(tensor.numel() for tensor in self.reference.tensors) < _FEW
        for _ in range(_RERUNS if small else 1):
            again = run_reference(self.op, clone_call(self.call))
            pairs = zip(self.reference.tensors, again.tensors, strict=True)
            if not all(bool(same_values(one, two).all()) for one, two in pairs):
                raise Unjudgeable(f"{self.op}: its results are random")

    def _drops_nothing(self) -> bool:
        """Whether all that would be random is a dropout, and there is none."""
        dropouts = [
            value for name, value in arguments(self.op, self.call).items() if name in ("dropout_p", "dropout")
        ]
        return dropouts == [0.0]

    def _refuse_memory(self) -> None:
        """What is written must keep its shape, and have a place for each element, or its order decides."""
        after = tensors_of(self.reference.call)
        for number in sorted(self._written()):
            if overlaps_itself(self.before[number]):
                raise Unjudgeable(f"{self.op}: input {number} overlaps itself and is written")
            if after[number].shape != self.before[number].shape:
                raise Unjudgeable(f"{self.op}: ATen resizes input {number}, which is not a kernel's to do")

    def _growth(self) -> dict[int, Tensor]:
        """What rounding may cost, by place among the results; only outputs and what was written."""
        if self.oracle is None or self.exact:
            return {}
        run, raised = self.oracle
        first = len(self.reference.tensors) - len(self.before)
        places = [*self._compared(), *(first + number for number in sorted(self.written))]
        due = [self.reference.tensors[place].dtype for place in places]
        dtypes = [dtype if has_table(dtype) else torch.float64 for dtype in due]

        def again(call: Call) -> Results:
            private = clone_call(call) if self.op._schema.is_mutable else call
            results = run_wide(self.op, private, self.reference).tensors
            return tuple(results[place] for place in places)

        exact = tuple(run.tensors[place] for place in places)
        try:
            grown = growth(self.op, raised, exact, dtypes, again)
        except REFUSALS as refusal:
            not_ours(self.op, refusal)
            return {}
        return dict(zip(places, grown, strict=True))

    def _refuse_moved_windows(self) -> None:
        """Where more precision looks elsewhere, neither place is wrong."""
        if self.oracle is None or base_name(self.op) not in DRAWN_WINDOWS:
            return
        if not torch.equal(self.reference.tensors[1], self.oracle[0].tensors[1]):
            raise Unjudgeable(f"{self.op}: its windows depend on how the random numbers are rounded")

    def _overflows_half_way(self) -> bool:
        """Whether a product is finite and the product of its large factors alone is not: then the order decides."""
        if self.oracle is None or base_name(self.op) not in PRODUCTS:
            return False
        run, raised = self.oracle
        large = map_tensors(raised, lambda t: t.abs().clamp_min(1) if is_floating(t.dtype) else t)
        try:
            most = run_wide(self.op, clone_call(large), self.reference)
        except REFUSALS as refusal:
            not_ours(self.op, refusal)
            return False
        triples = zip(self.reference.tensors, run.tensors, most.tensors, strict=True)
        return any(
            bool((true.isfinite() & (bound.abs() > _accumulated_max(due.dtype))).any())
            for due, true, bound in triples
            if has_table(due.dtype)
        )

    def _compared(self) -> list[int]:
        """Places of the outputs whose values count: a random state among the others may be of a dtype that knows no arithmetic."""
        return [
            self._place(number)
            for number, value in enumerate(self.reference.outputs)
            if isinstance(value, Tensor) and not self._undefined(number)
        ]

    def _place(self, number: int) -> int:
        """Of an output among the tensors of a run."""
        return sum(isinstance(value, Tensor) for value in self.reference.outputs[:number])

    def _written(self) -> frozenset[int]:
        """What the schema says is written, and what ATen was seen to write (running statistics)."""
        numbers = _leaf_numbers(self.op, self.call)
        marked = {
            number
            for argument in self.op._schema.arguments
            if argument.alias_info is not None and argument.alias_info.is_write
            for number in numbers.get(argument.name, [])
        }
        after = tensors_of(self.reference.call)
        seen = {
            number
            for number, (old, new) in enumerate(zip(self.before, after, strict=True))
            if not same_bits(old, new)
        }
        marked_storages = {storage_of(self.before[number]) for number in marked}
        shared = {n for n, t in enumerate(self.before) if storage_of(t) in marked_storages}
        return frozenset(marked | seen | (shared & seen))

    def expectation(self) -> Expectation:
        outputs = tuple(self._output(n, v) for n, v in enumerate(self.reference.outputs))
        returns_nothing = not self.op._schema.returns
        inputs = tuple(self._input(number, outputs) for number in range(len(self.before)))
        return Expectation(
            op=str(self.op).removeprefix("aten."),
            profile="strict",
            outputs=() if returns_nothing else outputs,
            single=not isinstance(self.reference.result, (list, tuple)) and not returns_nothing,
            inputs=inputs,
            written=self.written,
            same_as=_same_as(self.before),
            notes=tuple(dict.fromkeys(self.notes)),
            admissible=self.admissible,
        )

    def _output(self, number: int, value: Any) -> Expected:
        if value is None:
            return Expected("none", None)
        if not isinstance(value, Tensor):
            return Expected("scalar", value, undefined=_scalar_reason(value))
        reason = self._undefined(number)
        expected = Expected("tensor", value) if reason else self._tensor(self._place(number), value)
        if reason:
            self.notes.append(f"output {number} is not compared: {reason}")
        return replace(
            expected,
            device=self.device,
            undefined=reason,
            unshaped=bool(reason) and base_name(self.op) in UNSHAPED_OUTPUTS,
            choice=choice_of(self.op, self.call, number, value),
            unordered_dim=_unordered_dim(self.op, self.call, value),
            contested=self._contested(value),
            must_be=self._must_be(value),
            may_share=self._may_share(number, value),
        )

    def _undefined(self, number: int) -> str:
        """Why nobody defines the values of an output, else empty."""
        name = base_name(self.op)
        if name in TOTALS and number == 1 and arguments(self.op, self.call)["reduction"] == 0:
            return "the total weight of what is not added up"
        return UNDEFINED_OUTPUTS.get(name, {}).get(number, "")

    def _input(self, number: int, outputs: tuple[Expected, ...]) -> Expected:
        if number not in self.written:
            return Expected("tensor", self.before[number])
        for output in outputs:
            if output.must_be == number:
                return output
        after = tensors_of(self.reference.call)[number]
        return self._tensor(len(self.reference.tensors) - len(self.before) + number, after)

    def _must_be(self, value: Tensor) -> int | None:
        after = tensors_of(self.reference.call)
        for number in sorted(self.written):
            if value is after[number] or view_key(value) == view_key(after[number]):
                return number
        return None

    def _may_share(self, number: int, value: Tensor) -> frozenset[int]:
        """Arguments in the schema's alias set of this output, and those that ATen's own shares."""
        after = tensors_of(self.reference.call)
        seen = {n for n, tensor in enumerate(after) if storage_of(tensor) == storage_of(value)}
        returns = self.op._schema.returns
        mark = returns[min(number, len(returns) - 1)].alias_info
        if mark is None:
            return frozenset(seen)
        numbers = _leaf_numbers(self.op, self.call)
        for argument in self.op._schema.arguments:
            if argument.alias_info is not None and (argument.alias_info.before_set & mark.before_set):
                seen.update(numbers.get(argument.name, []))
        return frozenset(seen)

    def _contested(self, value: Tensor) -> Tensor | None:
        if not _overwrites(self.op, self.call):
            return None
        counts = _write_counts(base_name(self.op), arguments(self.op, self.call))
        return counts > 1 if counts is not None and bool((counts > 1).any()) else None

    # ---- one tensor

    def _tensor(self, place: int, reference: Tensor) -> Expected:
        plain = Expected("tensor", reference)
        if self.oracle is None:
            return self._alone(plain, reference)
        oracle = self.oracle[0].tensors[place]
        if not is_floating(reference.dtype):
            return self._discrete(plain, reference, oracle)
        if self.exact or not has_table(reference.dtype):
            return self._discrete(plain, reference, oracle.to(reference.dtype))
        return self._close(place, reference, _shortened(oracle, reference.dtype))

    def _alone(self, plain: Expected, reference: Tensor) -> Expected:
        """ATen is the only witness."""
        if self.exact or not has_table(reference.dtype):
            return plain
        if reference.dtype != raised_dtype(reference.dtype):
            self.notes.append("there is no float64 run: ATen alone is the reference")
        wide = reference.to(raised_dtype(reference.dtype))
        table = table_tolerance(self.op, wide, reference.dtype)
        allowance = table + growth_alone(self.op, self.call, wide, reference.dtype)
        return replace(plain, oracle=wide, allowance=allowance, table=table)

    def _discrete(self, plain: Expected, reference: Tensor, oracle: Tensor) -> Expected:
        """The same values: ATen's, and beside a jump those of the float64 run."""
        oracle = oracle.to(reference.dtype)
        differs = ~same_values(reference, oracle)
        if not bool(differs.any()):
            return plain
        self._note_doubt(differs)
        if not same_places(reference, oracle):
            self.admissible = False
        return replace(plain, oracle=oracle, also=differs)

    def _close(self, place: int, reference: Tensor, oracle: Tensor) -> Expected:
        """Near the float64 value; where ATen is far from it, near either."""
        wide = reference.to(oracle.dtype)
        grown = self.grown.get(place)
        if grown is None:
            grown = torch.zeros(oracle.shape, dtype=torch.float64, device=oracle.device)
        table = table_tolerance(self.op, oracle, reference.dtype)
        error = (wide - oracle).abs().to(torch.float64)
        error = torch.where(same_values(wide, oracle), 0.0, error)
        allowance, doubtful = with_own_error(table, grown, error)
        if bool(doubtful.any()):
            self._note_doubt(doubtful)
        if not same_places(wide, oracle):
            self.admissible = False
            self._refuse_wreck(wide, oracle)
        return Expected("tensor", reference, oracle=oracle, allowance=allowance, also=doubtful, table=table)

    def _refuse_wreck(self, wide: Tensor, oracle: Tensor) -> None:
        """ATen overflowed in the middle of its work: two answers for most elements judge nothing."""
        parted = wide.isfinite() != oracle.isfinite()
        if 2 * int(parted.sum()) > parted.numel():
            raise Unjudgeable(f"{self.op}: ATen itself overflows on these arguments")

    def _note_doubt(self, doubtful: Tensor) -> None:
        where = "beside a jump" if base_name(self.op) in JUMPS else "that far apart"
        count = int(doubtful.sum())
        self.notes.append(
            f"ATen and float64 lie {where} at {count} of {doubtful.numel()} elements: "
            "either value is accepted there"
        )


def _scalar_reason(value: Any) -> str:
    return "" if isinstance(value, (bool, int, float, complex)) else "no number"


def _unordered_dim(op: Op, call: Call, value: Tensor) -> int | None:
    given = arguments(op, call)
    if base_name(op) != "topk" or given.get("sorted") is not False or value.dim() == 0:
        return None
    return int(given["dim"]) % value.dim()


def _accumulated_max(dtype: torch.dtype) -> float:
    """The largest number of what is reckoned in: float32 inside the short dtypes."""
    return max(torch.finfo(dtype).max, torch.finfo(torch.float32).max)


def _is_exact(op: Op, call: Call) -> bool:
    """Whether a right kernel gives the very same values; to round to a decimal place takes a factor that is rounded itself."""
    scaled = base_name(op) == "round" and arguments(op, call).get("decimals")
    return (base_name(op) in EXACT and not scaled) or _overwrites(op, call)


def _overwrites(op: Op, call: Call) -> bool:
    """Whether the operator puts values in place of others, with no sum and in no order."""
    given = arguments(op, call)
    accumulates = given.get("accumulate") or given.get("reduce") is not None
    return base_name(op) in CONTESTED_WRITES and not accumulates


def _write_counts(name: str, given: dict[str, Any]) -> Tensor | None:
    """How many writes meet in each element."""
    target = given["self"]
    counts = torch.zeros(target.shape, dtype=torch.int32, device=target.device)
    if name == "scatter":
        return counts.scatter_add_(
            given["dim"], given["index"], torch.ones_like(given["index"], dtype=torch.int32)
        )
    one = torch.ones((), dtype=torch.int32, device=target.device)
    if name == "put":
        return counts.put_(given["index"], one.expand(given["index"].shape), accumulate=True)
    if name == "index_copy":
        ones = torch.ones_like(given["source"], dtype=torch.int32)
        return counts.index_add_(given["dim"], given["index"], ones)
    torch.ops.aten.index_put_(counts, given["indices"], one, True)
    return counts


def _shortened(oracle: Tensor, dtype: torch.dtype) -> Tensor:
    """Infinity where the true value does not fit the dtype, else the true value."""
    if oracle.dtype is not torch.float64:
        return oracle
    return torch.where(oracle.to(dtype).isinf(), oracle.to(dtype).to(oracle.dtype), oracle)


# ----------------------------------------------------------------------------------- lenient


def _lenient(op: Op, call: Call) -> Expectation:
    """BackendBench's rules: the reference runs on the very arguments that the candidate will get."""
    run = run_reference(op, call)
    after = tensors_of(call)
    outputs = tuple(_lenient_output(value, after) for value in run.outputs)
    return Expectation(
        op=str(op).removeprefix("aten."),
        profile="backendbench",
        outputs=outputs,
        single=not isinstance(run.result, (list, tuple)),
        inputs=tuple(Expected("tensor", tensor) for tensor in after),
        written=frozenset(range(len(after))),
        same_as=_same_as(after),
    )


def _lenient_output(value: Any, after: list[Tensor]) -> Expected:
    if not isinstance(value, Tensor):
        return Expected("none" if value is None else "scalar", value)
    mine = next((n for n, tensor in enumerate(after) if value is tensor), None)
    return Expected("tensor", value if mine is not None else value.clone(), must_be=mine)
