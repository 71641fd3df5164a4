"""What `jaxbackprop check --help` says beyond its flags. Light: help must not wait for jax."""

TARGET = (
    "package.module:op, where op is a function with a hand-written rule (Class.method too), or an f with its "
    "f_vjp(arguments, dy) beside it; or package.module: every such function there, and in a package's modules"
)

# How arguments are written, and what that means.
FORMS = (
    (("f32[4,5]", "f32[]"), "an array of a dtype and shape; f32[] is a scalar"),
    (("i32[4]<10", "i32[4] in [-2,3)"), "integers from 0 to 9, from -2 to 2; 0 or 1 without a range"),
    (("f32[4]>0", "f32[4]<=1", "f32[4] positive"), "the numbers beyond a bound"),
    (("f32[3,4] in (0,1)",), "an interval"),
    (("f32[3,4] simplex",), "positive, summing to 1 along the last axis"),
    (("f32[4] fixed", "i32[4]<10 fixed"), "kept as drawn; others are also redrawn within their range"),
    (("key", "key(7)"), "a random key, drawn or of a seed"),
    (("3", "0.5", "None", "True", "'text'"), "a setting, as it stands"),
    (("(3,3)", "[f32[2], f32[2]]", "{'W': f32[3,4]}"), "containers of them"),
    (("axis=-1",), "a keyword"),
)

EXAMPLES = (
    "jaxbackprop check my_package.losses:cross_entropy --arg 'f32[4,5]' --arg 'i32[4]<5'",
    "jaxbackprop check my_package.layers:dropout --arg 'f32[3,8]' --arg key --arg 0.1 --json report.json",
    "jaxbackprop check my_package.layers:pool --arg 'bf16[2,6]' --arg axis=1 --oracle my_package.plain:pool",
    "jaxbackprop check my_package",
)

EPILOG = "\n".join(
    (
        "arguments (--arg, once for each, in order):",
        *(f"  {'  '.join(forms):<45}  {meaning}" for forms, meaning in FORMS),
        "  dtypes: f16 bf16 f32 f64 i8 i16 i32 i64 u8 u16 u32 u64 bool",
        "",
        "Without --arg a function gets its arguments from its module's CHECK_ARGUMENTS, a dict from names",
        "to lists of tuples, one tuple a call, of arrays, settings and texts such as 'f32[4,5]'; or else",
        "from its annotations, such as Float[Array, 'batch in']. The current directory can be imported from.",
        "",
        "exit status: 0 right, 1 wrong, 2 cannot be checked",
        "",
        "examples:",
        *(f"  {example}" for example in EXAMPLES),
    )
)
