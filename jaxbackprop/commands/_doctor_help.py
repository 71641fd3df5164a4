"""What `jaxbackprop doctor --help` says beyond its flags. Light: help must not wait for jax."""

from ._check_help import FORMS

TARGET = (
    "package.module:loss, any function of JAX arrays (Class.method too); or a run folder that "
    "`jaxbackprop train` made"
)

_EXAMPLES = (
    "jaxbackprop doctor my_package.models:loss --arg \"{'W': f32[3,4]}\" --arg 'f32[32,3]'",
    "jaxbackprop doctor my_package.models:loss --plot health.png --json health.json",
    "jaxbackprop doctor my_package.models:loss --html health.html",
    "jaxbackprop doctor runs/20250101-120000",
    "jaxbackprop doctor runs/20250101-120000 --data dev.conll",
)

EPILOG = "\n".join(
    (
        "Prints what is wrong, most serious first, each with the node, the figure and a remedy; then "
        "what was",
        "measured of every layer and activation: norms of values and gradients, saturated and dead units.",
        "The first argument that is a dict or a list holds the parameters; where none is, all are.",
        "",
        "arguments (--arg, once for each, in order):",
        *(f"  {'  '.join(forms):<45}  {meaning}" for forms, meaning in FORMS),
        "  dtypes: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool",
        "",
        "Without --arg a function gets its arguments from its module's CHECK_ARGUMENTS, the first there, or",
        "else from its annotations. The current directory can be imported from.",
        "A run is examined with the loss of its training, on sentences of --data, or of its training data.",
        "",
        "exit status: 0 healthy, 1 findings, 2 cannot be examined",
        "",
        "examples:",
        *(f"  {example}" for example in _EXAMPLES),
    )
)
