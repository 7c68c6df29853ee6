# A service without torch, of what `bert-crf export MODEL exported ...` wrote beside this file:
#
#     docker build -t tagger .
#     docker run --rm -p 127.0.0.1:8000:8000 tagger
#
FROM python:3.12-slim
COPY exported/requirements.txt /source/
RUN pip install --no-cache-dir -r /source/requirements.txt "fastapi>=0.130" "pydantic>=2.9" "uvicorn>=0.40" "typer>=0.20"
COPY pyproject.toml README.md LICENSE /source/
COPY modeling_bert_crf /source/modeling_bert_crf
COPY bert_crf_command /source/bert_crf_command
RUN pip install --no-cache-dir --no-deps /source && rm -r /source
COPY exported /model
USER nobody
EXPOSE 8000
# Within a container all addresses are its own; what can reach it from outside, `docker run -p` says.
ENTRYPOINT ["bert-crf", "serve", "/model", "--host", "0.0.0.0"]
