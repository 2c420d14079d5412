"""An RTSP server that shows JPEGs of a folder again and again: `python3 rtsp_server.py PORT FOLDER`.

For Debian's own Python, which has the bindings (python3-gst-1.0, gir1.2-gst-rtsp-server-1.0).
"""

import sys

import gi  # type: ignore[import-not-found]

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found]  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPMediaFactory()
source = f"multifilesrc location={sys.argv[2]}/%05d.jpg loop=true caps=image/jpeg,framerate=10/1"
factory.set_launch(f"( {source} ! jpegdec ! jpegenc ! rtpjpegpay name=pay0 pt=26 )")
factory.set_shared(True)
server.get_mount_points().add_factory("/yard", factory)
server.attach(None)
sys.stdout.write("listening\n")
sys.stdout.flush()
GLib.MainLoop().run()
