"""Figures of a running server for Prometheus."""

from __future__ import annotations

import os
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from intona.serve.memory import resident_bytes

SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # where several processes of a server keep their figures
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OTHER = "other"  # the route of requests that match none, so that clients cannot add names


class Metrics:
    """The figures of one server, or of all its processes where `SHARED_DIRECTORY` is set."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "intona_requests",
            "Requests by route and status.",
            ["route", "status"],
            registry=self.registry,
        )
        self.first_byte = Histogram(
            "intona_first_byte_seconds",
            "Time from the request to the first byte of its response.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.duration = Histogram(
            "intona_request_seconds",
            "Time from the request to the end of its response.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.speech = Counter(
            "intona_speech_seconds", "Seconds of speech that were sent.", registry=self.registry
        )
        self.transcribed = Counter(
            "intona_transcribed_seconds",
            "Seconds of recordings that were transcribed.",
            registry=self.registry,
        )
        self.queue = Gauge(
            "intona_queue_length",
            "Requests that are in progress or wait.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.memory = Gauge(
            "intona_resident_bytes",
            "Resident memory.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        self.memory.set(resident_bytes())
        if SHARED_DIRECTORY not in os.environ:
            return generate_latest(self.registry)
        everything = CollectorRegistry()
        MultiProcessCollector(everything)
        return generate_latest(everything)


class Measured:
    """ASGI middleware that counts and times requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status = time.perf_counter(), 0
        first: float | None = None

        async def counted(message: Message) -> None:
            nonlocal status, first
            if message["type"] == "http.response.start":
                status = message["status"]
            elif first is None:
                first = time.perf_counter() - began
            await send(message)

        try:
            await self.app(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            self.metrics.requests.labels(route, str(status or 500)).inc()
            self.metrics.duration.labels(route).observe(time.perf_counter() - began)
            if first is not None:
                self.metrics.first_byte.labels(route).observe(first)
            self.metrics.memory.set(resident_bytes())
