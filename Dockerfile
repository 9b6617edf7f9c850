# quantbench with everything that its studies need, without the tests.
#
#   docker build -t quantbench .
#   docker run --rm -v quantbench:/store quantbench quantbench demo
#   docker run --rm -v quantbench:/store -v "$PWD:/study" -w /study quantbench pytest
#
# pip's own index gives Linux a torch with CUDA. For a smaller image without it, name an index of
# torch's CPU wheels: --build-arg PIP_EXTRA_INDEX_URL=...
# On a GPU, build on an image with CUDA's compiler, which some kernels are compiled by:
#   docker build --build-arg BASE=nvidia/cuda:12.8.1-devel-ubuntu22.04 -t quantbench:cuda .
#   docker run --rm --gpus all -v quantbench:/store quantbench:cuda quantbench doctor
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential ca-certificates git python3.11 python3.11-dev python3.11-venv \
 && rm -rf /var/lib/apt/lists/*

ARG EXTRAS=all
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /quantbench
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY quantbench quantbench
COPY benchmarks benchmarks
COPY conftest.py ./
RUN python3.11 -m venv /opt/quantbench \
 && /opt/quantbench/bin/pip install --no-cache-dir -c constraints.txt ".[${EXTRAS}]"

ENV PATH=/opt/quantbench/bin:$PATH QUANTBENCH_CACHE=/store
VOLUME /store
CMD ["quantbench", "--help"]
