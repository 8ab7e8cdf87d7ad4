# hippopt as a BIDS App:
#   docker build -t hippopt .                                    # for CPUs
#   docker build -t hippopt --build-arg TORCH=cuda .              # torch as the package index offers it by default, with CUDA
#   docker run --rm --user $(id -u):$(id -g) -v /data/bids:/data:ro -v /data/derived:/out -v $PWD/hippocampus.zip:/model.zip:ro hippopt /data /out participant --model /model.zip
#
# No package index is named here: pip's own settings decide. Give them at build time where the default does not do:
#   --build-arg PIP_INDEX_URL=... --build-arg PIP_EXTRA_INDEX_URL=...   (for a torch without CUDA: an index that has CPU builds)
ARG PYTHON=3.11
FROM python:${PYTHON}-slim AS build
ARG TORCH=cpu
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/hippopt
WORKDIR /src
COPY constraints.txt ./
# the pinned version comes as a build for CPUs where an index has one (its local version `+cpu`); with TORCH=cuda as it comes
RUN if [ "$TORCH" = cpu ]; then \
        /opt/hippopt/bin/pip install "torch==2.13.0+cpu" || /opt/hippopt/bin/pip install -c constraints.txt torch==2.13.0; \
    else \
        /opt/hippopt/bin/pip install -c constraints.txt torch==2.13.0; \
    fi
COPY pyproject.toml README.md LICENSE ./
COPY hippopt ./hippopt
RUN grep -v '^torch==' constraints.txt > others.txt && /opt/hippopt/bin/pip install -c others.txt .

FROM python:${PYTHON}-slim
COPY --from=build /opt/hippopt /opt/hippopt
# settings of MONAI and matplotlib go where anybody may write: containers run as the user who calls them
ENV PATH=/opt/hippopt/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title=hippopt org.opencontainers.image.licenses=Apache-2.0
ENTRYPOINT ["hippopt_bids"]
