"""Speed.

- compiling: what training and its walks use, compiled ahead
- gpu: `sizewise gpu-check`: what PPO does on a GPU, within some minutes
- gpu_figures: pictures of that
- gpu_job: the main job's own training on a device
- gpu_way: the way that training takes on a GPU, on a CPU
- growth: time and memory against what is asked
- laboratory: seconds until a learner finds a known optimum
- operations: what a rollout and an update ask of torch, as counts
- parts: where a training's time goes, and the machine's floors
- peers: other people's systems in the same run
- pipelines: what each stage takes while DVC runs it
- run: `sizewise bench`: environment and training
- schemes: every scheme on real bars
- waits: where a GPU is waited for, by a stand-in where there is none
"""
