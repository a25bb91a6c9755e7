# One model behind HTTP, on the CPU, see docs/howto/serve.md:
#   docker build -t fcn-edge .
#   docker run --rm --read-only --cap-drop ALL -p 127.0.0.1:8000:8000 -v "$PWD/road.onnx:/models/road.onnx:ro" \
#       fcn-edge serve /models/road.onnx --host 0.0.0.0
FROM python:3.12-slim AS build
WORKDIR /source
COPY . .
# onnxruntime's wheel brings its library a second time, for other languages, and tools that need further packages.
RUN python -m venv --without-pip /opt/fcn-edge \
    && python -m pip --disable-pip-version-check --python /opt/fcn-edge/bin/python install --quiet --no-cache-dir \
        --no-compile -c constraints.txt '.[cpu,serve]' \
    && find /opt/fcn-edge -name 'libonnxruntime.so*' -delete \
    && find /opt/fcn-edge -type d \( -name tests -o -path '*/onnxruntime/transformers' -o -path '*/onnxruntime/tools' \
        -o -path '*/onnxruntime/quantization' \) -prune -exec rm -rf {} +

FROM python:3.12-slim
COPY --from=build /opt/fcn-edge /opt/fcn-edge
ENV PATH=/opt/fcn-edge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# Nobody's user: it owns no file here.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=60s CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=5)"]
ENTRYPOINT ["fcn-edge"]
CMD ["--help"]
