# isogloss with all that its jobs need.
#   docker build -t isogloss .                               for CPUs
#   docker build -t isogloss:cuda --build-arg LOCK=cuda .    for GPUs of NVIDIA, with the host's driver, 525 or later
#   docker run --rm -v "$PWD:/work" isogloss isogloss extract --help
FROM python:3.12-slim
ARG LOCK=run

# libsndfile comes with soundfile's wheel; ffmpeg decodes what libsndfile can't.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ffmpeg \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/isogloss
COPY locks/${LOCK}.txt locks/
RUN pip install --no-cache-dir --require-hashes -r locks/${LOCK}.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY engine engine
COPY jobs jobs
COPY kernels kernels
RUN pip install --no-cache-dir --no-deps .

WORKDIR /work
CMD ["isogloss", "--help"]
