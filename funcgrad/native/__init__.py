"""Native code: programs compiled through LLVM (the extra `native`), where running them by NumPy's calls costs more."""
