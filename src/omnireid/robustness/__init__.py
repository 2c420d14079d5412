"""The twenty corruptions and the -C benchmarks. Names are known without the extra; corrupting needs it."""
