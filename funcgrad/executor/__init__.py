"""The executor of `jit`: a program becomes a plan, the plan Python source over NumPy, the source a function.

What compiles (`build.py` and all that it needs) is imported when the first program is compiled: gradients without `jit`
do not wait for it.
"""
