"""What `jaxbackprop graph --help` says beyond its flags. Light: help must not wait for jax."""

from ._check_help import FORMS

TARGET = "package.module:f, any function of JAX arrays (Class.method too)"

_EXAMPLES = (
    "jaxbackprop graph my_package.losses:loss --arg 'f32[4,5]' --arg 'i32[4]<5'",
    "jaxbackprop graph my_package.gates:f --arg 1.0 --arg 2.0 --arg 0.0 --html f.html",
    "jaxbackprop graph my_package.models:loss --arg \"{'W': f32[3,4]}\" --arg 'f32[2,4]' --json loss.json",
)

EPILOG = "\n".join(
    (
        "Without --html, --svg, --dot or --json: a table of the nodes in topological order, with the value",
        "and the gradient of each, and what both passes cost.",
        "",
        "arguments (--arg, once for each, in order):",
        *(f"  {'  '.join(forms):<45}  {meaning}" for forms, meaning in FORMS),
        "  dtypes: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool",
        "  Arrays, keys and numbers with a point are inputs of the graph; other settings are fixed.",
        "",
        "Without --arg a function gets its arguments from its module's CHECK_ARGUMENTS, the first there, or",
        "else from its annotations. The current directory can be imported from.",
        "",
        "exit status: 0; 2 where there is no graph, or not all of it: where the function raised an error the",
        "graph ends there, where a primitive has no rule there are no gradients, and what is known is shown",
        "and written all the same",
        "",
        "examples:",
        *(f"  {example}" for example in _EXAMPLES),
    )
)
