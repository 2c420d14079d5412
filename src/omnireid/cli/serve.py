"""`omnireid serve` and `omnireid token`: the REST service with its web page, and who may use it."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_rows, stderr, stdout
from omnireid.core.errors import ConfigError
from omnireid.core.extras import require
from omnireid.gallery.options import DEFAULT_PRECISION
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.server.limits import Limits
from omnireid.server.options import Scope

DEFAULT_TOKENS = Path("omnireid-tokens.json")


token_app = options.App(help="Who may use a server that asks for tokens.", no_args_is_help=True)

TokenFileOption = Annotated[
    Path, typer.Option("--tokens", help="The token file; only its owner may read it.", dir_okay=False)
]


def serve(
    gallery: Annotated[
        list[str],
        typer.Option(help="Folder or URL of a gallery, made where there is none; of several: NAME=URI each."),
    ],
    model: options.Model = DEFAULT_MODEL,
    calibration: options.CalibrationFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need tokens.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    tokens: Annotated[
        Path | None, typer.Option(help="Ask for a token of this file; see 'omnireid token'.", dir_okay=False)
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="Another name this server is called by; may be given several times."),
    ] = None,
    stored_precision: options.NewPrecision = DEFAULT_PRECISION,
    max_bytes: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Of a request's body.")
    ] = Limits.max_bytes,
    max_pixels: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Of a picture.")
    ] = Limits.max_pixels,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="One line of JSON on stderr for each request.")
    ] = False,
    webhook: Annotated[
        str | None, typer.Option(help="Address that is told of the watch list's alerts, signed.")
    ] = None,
    webhook_secret_file: Annotated[
        Path | None,
        typer.Option(
            help="Secret that signs them; by default the variable OMNIREID_WEBHOOK_SECRET.", dir_okay=False
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="Follow the people before this camera, NAME=SOURCE (rtsp://…, a webcam, a video), and enrol "
            "them into the first gallery; may be given several times."
        ),
    ] = None,
    camera_fps: Annotated[
        float, typer.Option(min=0.1, max=100, help="Look at so many pictures a second of each camera.")
    ] = 5.0,
    overlapping: options.Overlapping = False,
    site: Annotated[
        Path | None,
        typer.Option(
            "--site",
            help="YAML or JSON: cameras, ground planes for the map, overlaps; --camera adds to it.",
            dir_okay=False,
        ),
    ] = None,
    mqtt: Annotated[
        str | None,
        typer.Option(help="MQTT broker that is told of the watch list's alerts: mqtts://USER@HOST/TOPIC."),
    ] = None,
    mqtt_password_file: Annotated[
        Path | None,
        typer.Option(help="Password for it; by default the variable OMNIREID_MQTT_PASSWORD.", dir_okay=False),
    ] = None,
    tls_cert: Annotated[
        Path | None,
        typer.Option(help="Serve HTTPS with this certificate (PEM, with its chain).", dir_okay=False),
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of it (PEM).", dir_okay=False)] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0,
            max=600,
            help="Seconds to go on after SIGTERM, while /readyz sends others elsewhere.",
        ),
    ] = 0.0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in a browser.")] = False,
    engine: options.EngineOptions = options.EngineOptions(),
) -> None:
    """Serve galleries: a REST interface and a web page, in one process.

    Listens on this machine only, unless there is a token file. Stops on Ctrl-C or SIGTERM, after
    finishing what was accepted.
    """
    import webbrowser

    require("fastapi")
    from omnireid.cli.process import share_memory_among_threads, switch_threads_often
    from omnireid.evaluation.calibration import Calibration
    from omnireid.gallery.gallery import Gallery
    from omnireid.inference.lookup import find_weights
    from omnireid.server.app import create_app
    from omnireid.server.broker import Broker
    from omnireid.server.guard import LOOPBACK_HOSTS
    from omnireid.server.running import Tls, check_bind, check_tls, is_loopback, listen, run_server, url_of
    from omnireid.server.tokens import TokenFile
    from omnireid.server.webhook import Webhook
    from omnireid.video.detector import NanoDet
    from omnireid.video.live import Live, LiveCameras
    from omnireid.video.online import Online
    from omnireid.video.plan import SitePlan, read_plan

    if webhook is None and webhook_secret_file is not None:
        raise ConfigError("--webhook-secret-file: is of a webhook; name it with --webhook")
    if mqtt is None and mqtt_password_file is not None:
        raise ConfigError("--mqtt-password-file: is of a broker; name it with --mqtt")
    if (tls_cert is None) != (tls_key is None):
        raise ConfigError("--tls-cert and --tls-key: HTTPS needs both; name the other one, too")
    tls = None if tls_cert is None or tls_key is None else Tls(tls_cert, tls_key)
    if tls is not None:
        check_tls(tls)
    receivers: list[Webhook | Broker] = []
    if webhook is not None:
        receivers.append(Webhook.of(webhook, webhook_secret_file))
    if mqtt is not None:
        receivers.append(Broker.of(mqtt, mqtt_password_file))
    plan = SitePlan() if site is None else read_plan(site)
    # Times are those at which pictures come: clocks of recordings say nothing here.
    sources = [(name, source) for name, source, _ in plan.read_from([named_camera(c) for c in camera or ()])]
    limits = Limits(max_bytes=max_bytes, max_pixels=max_pixels)
    token_file = None if tokens is None else TokenFile(tokens)
    check_bind(host, token_file)
    places = named_galleries(gallery)
    weights = find_weights(model)
    embedder = engine.open(weights)
    known = Calibration.load_beside(weights, embedder.sha256, calibration)
    if sources and known is None:
        raise ConfigError(
            "cameras (--camera, --site): the model needs a calibration, which says whether two walks are one "
            f"person's; make one: omnireid calibrate --model {model} …"
        )
    switch_threads_often()
    share_memory_among_threads()
    with ExitStack() as stack:
        listener = stack.enter_context(listen(host, port))
        galleries = {
            name: stack.enter_context(Gallery.open(uri, precision=stored_precision, calibration=known))
            for name, uri in places.items()
        }
        # A browser on this machine must not be turned against a server that asks for no token.
        hosts = {*LOOPBACK_HOSTS, *(allow_host or ())} if token_file is None or allow_host else None
        app = create_app(
            embedder,
            galleries,
            calibration=known,
            tokens=token_file,
            allowed_hosts=hosts,
            detector=NanoDet(threads=engine.threads, least_score=0.5),
            limits=limits,
            receivers=receivers,
        )
        log_to_stderr(with_requests=access_log)
        if sources:
            # A detector of its own, with one thread: searches go before.
            live = Live(fps=camera_fps, online=Online(overlapping=overlapping))
            first = next(iter(galleries.values()))
            app.state.service.follow(
                LiveCameras(sources, NanoDet(threads=1), embedder, first, live, plan=plan)
            )
        if known is None:
            stderr.print(
                f"no calibration: answers hold scores only (omnireid calibrate --model {model} …)",
            )
        for receiver in receivers:
            if receiver.is_plain and not is_loopback(receiver.host):
                stderr.print(
                    f"{receiver.kind} {receiver.host}: others on the way can read it; use https or mqtts"
                )
        if tls is None and not is_loopback(host):
            stderr.print("plain HTTP: put a proxy with TLS in front of it (docs/guides/service/access.md)")

        def announce() -> None:
            stdout.print(f"serving on {url_of(listener, tls)}")
            if browser:
                webbrowser.open(url_of(listener, tls))

        run_server(app, listener, limits=limits, tls=tls, drain_s=drain, on_start=announce)


@token_app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Who will have it; stands in the audit log.")],
    scope: Annotated[Scope, typer.Option(help="Each includes those before it.")] = "read",
    tokens: TokenFileOption = DEFAULT_TOKENS,
) -> None:
    """Make a token and print it, once: the file holds only its hash."""
    from omnireid.server.tokens import TokenFile

    stdout.print(TokenFile(tokens).create(name, scope))
    stderr.print(f"{name} may {scope}. This was the only time the token was shown.")


@token_app.command("list")
def show(tokens: TokenFileOption = DEFAULT_TOKENS, as_json: options.AsJson = False) -> None:
    """List names and scopes; the tokens themselves are nowhere."""
    from omnireid.server.tokens import TokenFile

    rows = [(token.name, token.scope) for token in TokenFile(tokens).tokens()]
    print_rows(("name", "scope"), rows, as_json=as_json)


@token_app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="Whose token to take back.")],
    tokens: TokenFileOption = DEFAULT_TOKENS,
) -> None:
    """Take a token back; running servers refuse it within two seconds."""
    from omnireid.server.tokens import TokenFile

    TokenFile(tokens).revoke(name)
    stdout.print(f"{name} may do nothing any more")


def named_galleries(texts: list[str]) -> dict[str, str]:
    """Gallery URIs by name; one alone may do without, and is called "default".

    Raises:
        ConfigError: several of which one has no name, or two of one name.
    """
    galleries: dict[str, str] = {}
    for text in texts:
        name, sign, uri = text.partition("=")
        # A URL may hold "=", a name never holds "/".
        if not sign or "/" in name or not name:
            name, uri = "default", text
        if name in galleries:
            raise ConfigError(f"--gallery {text}: give each of several galleries a name of its own: NAME=URI")
        galleries[name] = uri
    return galleries


def named_camera(text: str) -> tuple[str, str]:
    """Name and source of a camera.

    Raises:
        ConfigError: it has no name.
    """
    from omnireid.video.reading import shown_source

    name, sign, source = text.partition("=")
    if not sign or not name or not source or "/" in name:
        raise ConfigError(f"--camera {shown_source(text)}: expected NAME=SOURCE, such as yard=rtsp://…")
    return name, source


def log_to_stderr(*, with_requests: bool) -> None:
    """Messages of the service as lines on stderr; those of single requests only if wanted."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name, level in (
        ("omnireid", logging.INFO),
        ("omnireid.server.access", logging.INFO if with_requests else logging.WARNING),
        ("uvicorn", logging.WARNING),
    ):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("omnireid").addHandler(handler)
    logging.getLogger("uvicorn").addHandler(handler)
