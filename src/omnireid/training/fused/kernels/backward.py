"""A block backward: each kernel ends with the sums that the next normalisation's gradient needs."""

from __future__ import annotations

from typing import Any, NamedTuple

from omnireid.core.compiled import compiled
from omnireid.inference.native.vectors import LANES, address, load, multiply_add, store, where_positive
from omnireid.training.fused.kernels.forward import Streams, rows_at_once
from omnireid.training.fused.kernels.rows import (
    CHUNK,
    Map,
    Norm,
    Task,
    activate,
    add_taps_row,
    backward_norm,
    depthwise_row,
    mask_and_sum,
    outer,
    pictures_of,
    product,
)

Array = Any


class StreamGradients(NamedTuple):
    """Of the Lite 3×3 of a block.

    Attributes:
        maps: (streams + 2, N, H, W, C): of each stream, where it is; of the map that all of them read; of
            the gated sum.
        norms: (1 + layers, 4, C), see `Norm`, backward.
        panels: (layers, C · C), transposed.
        taps: (layers, 9, C), in reverse.
        weights, tap_weights: (groups, layers, C, C) and (groups, layers, 9, C), added to.
        sums: (1 + layers, N, 2, C): Σ g, Σ g · (x − mean).
        entries: (N, streams, 2, C): factor and summand by which the gated sum's gradient enters a stream.
    """

    maps: Array
    norms: Array
    panels: Array
    taps: Array
    weights: Array
    tap_weights: Array
    sums: Array
    entries: Array


@compiled
def close_backward(
    task: Task, gradient: Map, active: Map, source: Map, norm: Norm, target: Map, sums: Array
) -> None:
    """Through the last ReLU of a block: the masked gradient, and its sums (N, 2, C) for `source`'s norm."""
    size, channels = task.height * task.width, gradient.channels
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            place = Map(sums, picture * 2 * channels, channels)
            sums[place.at : place.at + 2 * channels] = 0
            for start in range(0, size, CHUNK):
                at = (picture * size + start) * channels
                mask_and_sum(
                    Map(gradient.values, gradient.at + at, channels),
                    Map(active.values, active.at + at, channels),
                    Map(source.values, source.at + at, channels),
                    norm,
                    (picture, min(CHUNK, size - start)),
                    Map(target.values, target.at + at, channels),
                    place,
                )


@compiled
def pointwise_backward(
    task: Task,
    gradient: Map,
    output: Map,
    norm: Norm,
    source: Map,
    weights: tuple[Array, Array],
    target: tuple[Array, bool],
    scratch: Array,
) -> None:
    """Through a norm and the 1×1 convolution before it.

    Args:
        gradient: at the norm's result.
        output: of the convolution.
        source: of the convolution.
        weights: the transposed panel, and (groups, inputs, outputs) gradients, added to.
        target: gradient at the source, and whether it is added to.
    """
    size = task.height * task.width
    inputs, outputs = source.channels, output.channels
    panel, sums = weights
    values, added = target
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            for start in range(0, size, CHUNK):
                pixel = picture * size + start
                count = min(CHUNK, size - start)
                here = Map(output.values, output.at + pixel * outputs, outputs)
                backward_norm(
                    gradient.values, gradient.at + pixel * outputs, here, norm, picture, count, scratch, 0
                )
                outer(
                    address(source.values, source.at + pixel * inputs),
                    address(scratch, 0),
                    address(sums, group * inputs * outputs),
                    (count, inputs, outputs),
                )
                out = address(values, pixel * inputs)
                product(
                    task.product,
                    address(scratch, 0),
                    address(panel, 0),
                    out,
                    out if added else 0,
                    (count, outputs, inputs),
                )


@compiled
def lite_backward(
    task: Task, streams: Streams, gradients: StreamGradients, jobs: Array, scratch: Array
) -> None:
    """Through the norms of Lite 3×3 layers that do not depend on each other, and through the layers.

    The 1×1's result and the layer's input are computed again.

    Args:
        jobs: (layers, 7): the stream, the maps that the layer read and wrote, whether the gradient comes
            from the gate, in which of the gradients' maps it is put, whether it is added to what is there,
            and whether it is complete then.
        scratch: room for (4 · H + 8) rows.
    """
    size = task.height * task.width * streams.channels
    line = task.width * streams.channels
    for row in range(4):
        at = row * (size + 2 * line)
        scratch[at : at + line] = 0
        scratch[at + line + size : at + 2 * line + size] = 0
    for group in range(task.first, task.end):
        first, end = pictures_of(task, group)
        for picture in range(first, end):
            for job in range(jobs.shape[0]):
                _layer_backward(
                    task,
                    streams,
                    gradients,
                    (
                        jobs[job, 0],
                        jobs[job, 1],
                        jobs[job, 2],
                        jobs[job, 3],
                        jobs[job, 4],
                        jobs[job, 5],
                        jobs[job, 6],
                    ),
                    (group, picture),
                    scratch,
                )


@compiled
def _layer_backward(
    task: Task,
    streams: Streams,
    gradients: StreamGradients,
    job: tuple[int, ...],
    place: tuple[int, int],
    scratch: Array,
) -> None:
    """One layer of one picture; blocks of rows, each row when the one below it is there."""
    group, picture = place
    stream, source, layer, from_gate, target, added, complete = job
    height, width, channels = task.height, task.width, streams.channels
    line = width * channels
    size, rows = height * line, rows_at_once(task)
    num_layers = len(streams.panels) // (channels * channels)
    num_streams = gradients.entries.shape[1]
    # Rows of the layer's input, of the 1×1's result, of the gradient at the layer's result and at the 1×1's.
    inputs, inner, outer_gradient, inner_gradient = (
        line,
        line + (size + 2 * line),
        line + 2 * (size + 2 * line),
        line + 3 * (size + 2 * line),
    )
    source_at = (source * task.pictures + picture) * size
    layer_at = (layer * task.pictures + picture) * size
    gate_at = ((num_streams + 1) * task.pictures + picture) * size
    stream_at = (stream * task.pictures + picture) * size
    target_at = (target * task.pictures + picture) * size
    forward = Norm(streams.norms, source * 4 * channels, 0)
    weights_at = (layer - 1) * channels * channels
    taps_at = (layer - 1) * 9 * channels
    tap_sums_at = group * num_layers * 9 * channels + taps_at
    sums = Map(gradients.sums.ravel(), (source * task.pictures + picture) * 2 * channels, channels)
    if complete:
        sums.values[sums.at : sums.at + 2 * channels] = 0
    done = 0
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        pixels, at = (bottom - top) * width, top * line
        activate(Map(streams.maps, source_at + at, channels), forward, 0, pixels, scratch, inputs + at)
        product(
            task.product,
            address(scratch, inputs + at),
            address(streams.panels, weights_at),
            address(scratch, inner + at),
            0,
            (pixels, channels, channels),
        )
        here = Map(streams.maps, layer_at + at, channels)
        incoming, incoming_at = gradients.maps, stream_at + at
        if from_gate:
            incoming, incoming_at = scratch, outer_gradient + at
            _enter(
                here,
                Norm(streams.norms, layer * 4 * channels, 0),
                Map(gradients.maps, gate_at + at, channels),
                gradients.entries[picture, stream],
                pixels,
                scratch,
                incoming_at,
            )
        backward_norm(
            incoming,
            incoming_at,
            here,
            Norm(gradients.norms, layer * 4 * channels, 0),
            0,
            pixels,
            scratch,
            outer_gradient + at,
        )
        ready = height if bottom == height else bottom - 1
        for row in range(done, ready):
            middle = outer_gradient + row * line
            depthwise_row(
                (middle - line, middle, middle + line),
                scratch,
                gradients.taps,
                taps_at,
                Map(scratch, inner_gradient + row * line, channels),
                width,
            )
            near = inner + row * line
            add_taps_row(
                Map(scratch, middle, channels),
                (near - line, near, near + line),
                scratch,
                gradients.tap_weights,
                tap_sums_at,
                width,
            )
        pixels, at = (ready - done) * width, done * line
        outer(
            address(scratch, inputs + at),
            address(scratch, inner_gradient + at),
            address(gradients.weights, group * num_layers * channels * channels + weights_at),
            (pixels, channels, channels),
        )
        out = address(gradients.maps, target_at + at)
        product(
            task.product,
            address(scratch, inner_gradient + at),
            address(gradients.panels, weights_at),
            out,
            out if added else 0,
            (pixels, channels, channels),
        )
        if complete:
            written = Map(gradients.maps, target_at + at, channels)
            mask_and_sum(
                written,
                Map(scratch, inputs + at, channels),
                Map(streams.maps, source_at + at, channels),
                forward,
                (0, pixels),
                written,
                sums,
            )
        done = ready


@compiled
def _enter(
    source: Map, norm: Norm, gradient: Map, entry: Array, pixels: int, target: Array, target_at: int
) -> None:
    """The gradient of the gated sum enters a stream: (factor · g + summand) where the stream is active."""
    channels, flat = source.channels, entry.ravel()
    for channel in range(0, channels, LANES):
        scale, shift = load(norm.values, norm.at + channel), load(norm.values, norm.at + channels + channel)
        factor, summand = load(flat, channel), load(flat, channels + channel)
        for pixel in range(pixels):
            here = pixel * channels + channel
            active = multiply_add(load(source.values, source.at + here), scale, shift)
            value = multiply_add(load(gradient.values, gradient.at + here), factor, summand)
            store(target, target_at + here, where_positive(active, value))
