"""hippopt: a self-configuring hippocampus segmenter that adapts a pre-trained UNETR with LoRA-PT."""

__version__ = "0.1.0"
