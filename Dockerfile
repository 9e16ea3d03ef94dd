# One image for CPU and CUDA: PyTorch's wheels from the package index bring the CUDA libraries
# and run without a GPU as well.
#
#   docker build -t mie-x .
#   docker run --rm [--gpus all] --user "$(id -u):$(id -g)" -v "$PWD:/data" mie-x generate --ids 20
#
# --user: so that what is written into the mounted folder is yours.
FROM python:3.11-slim

RUN useradd --create-home mie-x && mkdir /data && chown mie-x /data
WORKDIR /opt/mie-x
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY mie_x mie_x
COPY ganimation ganimation
COPY au_sources au_sources
COPY recognizers recognizers
COPY pipelines pipelines
RUN pip install --no-cache-dir .

USER mie-x
WORKDIR /data
ENTRYPOINT ["mie-x"]
CMD ["--help"]
