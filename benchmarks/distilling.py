"""Trains the backbone of `ssd_small` to see what a trained detector sees: the start of a training from few images.

    python benchmarks/distilling.py --photos coco_sample/images backgrounds/ --stamps stamps/ --teacher detect.tflite \\
        --out start.h5 --steps 3000

The teacher is `ssd_mobilenet_v1` with COCO's weights. No labels are used: on random crops of the photos, and of photos
with cut-out objects pasted on them, three maps of the small network (strides 8, 16, 32), each through a 1x1
convolution, have to give the teacher's features at the same stride, standardised by channel. The result is a weight
file of the backbone alone.
"""

import argparse
import json
import os
import queue
import threading
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image, ImageFilter

import keras_ssd
from keras_ssd.backbones.small import small_body
from keras_ssd.formats import write_keras_h5
from keras_ssd.zoo.port import arrays_of

SIDE = 256
TAPS = {"stage8": "conv5_pointwise", "stage16": "conv11_pointwise", "stage32": "conv13_pointwise"}
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


class Scenes:
    """Random crops of photos, some with cut-out objects on them.

    Args:
        photos: folders or files.
        stamps: folders of images with an alpha channel.
        left_out: names of files that are not read.
        seed: of all choices.
    """

    def __init__(self, photos, stamps, left_out, seed):
        self.rng = np.random.default_rng(seed)
        self.photos = [small(path, 1024, "RGB") for path in files(photos) if path.name not in left_out]
        self.stamps = [cut_out(path) for path in files(stamps)]
        self.stamps = [stamp for stamp in self.stamps if stamp is not None]
        print(len(self.photos), "photos,", len(self.stamps), "cut-out objects", flush=True)

    def batch(self, count):
        return np.stack([self.scene() for _ in range(count)])

    def scene(self):
        rng = self.rng
        image = self.crop(self.photos[rng.integers(len(self.photos))])
        if self.stamps and rng.random() < 0.35:
            for _ in range(rng.integers(1, 7)):
                self.paste(image)
        if rng.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if rng.random() < 0.1:
            image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.5)))
        values = np.asarray(image, np.float32)
        values = (values - 128) * rng.uniform(0.7, 1.3) + 128 + rng.uniform(-25, 25)
        if rng.random() < 0.5:
            values = values * rng.uniform(0.85, 1.15, 3)
        if rng.random() < 0.1:
            values = np.repeat(values.mean(-1, keepdims=True), 3, -1)
        if rng.random() < 0.1:
            values = values + rng.normal(0, rng.uniform(2, 10), values.shape)
        return np.clip(values, 0, 255).astype(np.uint8)

    def crop(self, photo):
        rng = self.rng
        width, height = photo.size
        area = width * height * rng.uniform(0.06, 1.0)
        aspect = np.exp(rng.uniform(np.log(0.7), np.log(1.43)))
        w, h = min(width, (area * aspect) ** 0.5), min(height, (area / aspect) ** 0.5)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        return photo.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (x, y, x + w, y + h), reducing_gap=2)

    def paste(self, image):
        rng = self.rng
        stamp = self.stamps[rng.integers(len(self.stamps))]
        side = int(np.exp(rng.uniform(np.log(20), np.log(180))))
        factor = side / max(stamp.size)
        stamp = stamp.resize([max(2, round(s * factor)) for s in stamp.size], Image.Resampling.BILINEAR)
        if rng.random() < 0.5:
            stamp = stamp.rotate(rng.uniform(-40, 40), expand=True)
        x, y = (int(rng.uniform(-0.3 * s, SIDE - 0.7 * s)) for s in stamp.size)
        image.paste(stamp, (x, y), stamp)


def files(places):
    for place in map(Path, places):
        found = [place] if place.is_file() else sorted(place.rglob("*"))
        yield from (path for path in found if path.suffix.lower() in ENDINGS and path.is_file())


def small(path, side, mode):
    with Image.open(path) as image:
        image.draft("RGB", (side, side))
        image = image.convert(mode)
        image.thumbnail((side, side))
        return image


def cut_out(path):
    """The object of a file with transparency, without its empty border; None if it has none."""
    stamp = small(path, 320, "RGBA")
    alpha = np.asarray(stamp)[..., 3]
    box = stamp.getchannel("A").getbbox()
    return None if box is None or alpha.mean() > 250 else stamp.crop(box)


class Ahead:
    """Batches made by threads while the network computes."""

    def __init__(self, scenes, batch, threads=1):
        self.queue = queue.Queue(4)
        for _ in range(threads):
            threading.Thread(target=self._fill, args=(scenes, batch), daemon=True).start()

    def _fill(self, scenes, batch):
        while True:
            self.queue.put(scenes.batch(batch))

    def __next__(self):
        return self.queue.get()

    def __iter__(self):
        return self


class Student(keras.Model):
    """A backbone with a 1x1 convolution behind each tap.

    Args:
        body: of `small_body`.
        channels: of the teacher's maps.
    """

    def __init__(self, body, channels, **options):
        super().__init__(**options)
        self.body = body
        self.maps = keras.Model(body.inputs, [body.get_layer(name).output for name in TAPS])
        self.projections = [keras.layers.Conv2D(n, 1, name=f"projection{i}") for i, n in enumerate(channels)]

    def call(self, images, training=False):
        maps = self.maps(images, training=training)
        return [project(x) for project, x in zip(self.projections, maps, strict=True)]


def teacher_maps(path):
    """The teacher's maps at strides 8, 16 and 32."""
    model = keras_ssd.ssd_mobilenet_v1(weights=path, input_size=(SIDE, SIDE))
    chosen = [model.get_layer(name) for name in TAPS.values()]
    frozen = keras.Model(model.inputs, [layer.output for layer in chosen])
    frozen.trainable = False
    return frozen


class Distiller(keras.Model):
    """Trains `student` to give the teacher's standardised maps."""

    def __init__(self, teacher, student, moments):
        super().__init__()
        self.teacher, self.student = teacher, student
        self.moments = [(ops.convert_to_tensor(m), ops.convert_to_tensor(s)) for m, s in moments]

    def call(self, images, training=False):
        wanted = self.teacher(images, training=False)
        given = self.student(images, training=training)
        total = 0.0
        for want, give, (mean, spread) in zip(wanted, given, self.moments, strict=True):
            want = ops.clip((ops.stop_gradient(want) - mean) / spread, -4.0, 4.0)
            total = total + ops.mean(ops.square(want - give))
        self.add_loss(total)
        return total


def moments(teacher, batches, count=12):
    maps = [teacher.predict_on_batch(next(batches)) for _ in range(count)]
    result = []
    for i in range(len(maps[0])):
        values = np.concatenate([m[i].reshape(-1, m[i].shape[-1]) for m in maps])
        result.append((values.mean(0), np.maximum(values.std(0), 0.05)))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", nargs="+", required=True)
    parser.add_argument("--stamps", nargs="*", default=[])
    parser.add_argument("--left-out", help="a file of names, one per line, that are not read")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    keras.utils.set_random_seed(args.seed)
    left_out = set(Path(args.left_out).read_text().split()) if args.left_out else set()
    batches = Ahead(Scenes(args.photos, args.stamps, left_out, args.seed), args.batch)
    teacher = teacher_maps(args.teacher)
    body = small_body((SIDE, SIDE))
    student = Student(body, [output.shape[-1] for output in teacher.outputs])
    model = Distiller(teacher, student, moments(teacher, batches))
    schedule = keras.optimizers.schedules.CosineDecay(
        1e-5, args.steps - 100, alpha=0.02, warmup_target=2e-3, warmup_steps=100
    )
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=0.02, global_clipnorm=10.0, use_ema=True, ema_momentum=0.998
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(optimizer)
    began, losses = time.perf_counter(), []
    for step in range(args.steps):
        losses.append(float(model.train_on_batch(next(batches), None)))
        if step % 50 == 49 or step == args.steps - 1:
            row = {"step": step + 1, "loss": round(np.mean(losses[-50:]), 4), "s": round(time.perf_counter() - began)}
            print(json.dumps(row), flush=True)
        if step % 500 == 499 or step == args.steps - 1:
            save(model, optimizer, body, args.out)


def save(model, optimizer, body, out):
    """Writes the backbone with its averaged weights: kernels in float16, vectors in float32."""
    kept = [keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    temporary = Path(f"{out}.part.h5")
    write_keras_h5(temporary, arrays_of(body).layers)
    os.replace(temporary, out)
    for variable, value in zip(model.trainable_variables, kept, strict=True):
        variable.assign(value)


if __name__ == "__main__":
    main()
