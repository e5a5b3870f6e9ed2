"""Measures a student beside its teacher: segmentation, agreement on images never trained on, out-of-distribution.

    python3 evaluate.py --data DIR --teacher TEACHER.pt --student student.pt [--every 1]
"""

import argparse
import glob
import json
import os

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score

import efficientvit
import labels


def read(path):
    """uint8 RGB."""
    return np.ascontiguousarray(cv2.imread(path, cv2.IMREAD_COLOR)[:, :, ::-1])


def run(net, image, width, height):
    """Outputs for one image resized to width x height (bilinear, area when reducing)."""
    smaller = width < image.shape[1]
    x = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    with torch.no_grad():
        return net(efficientvit.preprocess(torch.from_numpy(x)[None]))


class Confusion:
    """Confusion matrix; mean IoU over the classes that occur in the labels."""

    def __init__(self, classes):
        self.n, self.m = classes, np.zeros((classes, classes))

    def add(self, truth, guess):
        keep = truth < self.n
        self.m += np.bincount(self.n * truth[keep].astype(np.int64) + guess[keep],
                              minlength=self.n**2).reshape(self.n, self.n)

    def result(self):
        hit, rows = np.diag(self.m), self.m.sum(1)
        iou = hit[rows > 0] / (rows + self.m.sum(0) - hit)[rows > 0]
        return {"miou": round(float(iou.mean()) * 100, 2), "pixel_accuracy": round(hit.sum() / rows.sum() * 100, 2),
                "classes": int((rows > 0).sum())}


def segmentation(nets, root, every):
    """mIoU and pixel accuracy on CamVid test (11 classes) and on the labelled Cityscapes images."""
    groups = torch.from_numpy(labels.camvid_groups())
    city = labels.cityscapes_table()
    result = {}
    for name, net in nets.items():
        camvid = Confusion(11)
        for path in sorted(glob.glob(os.path.join(root, "camvid/test/images/*")))[::every]:
            stem = os.path.splitext(os.path.basename(path))[0]
            truth = cv2.imread(glob.glob(os.path.join(root, "camvid/test/labels", stem + ".*"))[0], 0)
            p = F.softmax(run(net, read(path), 960, 704)["logits"], 1)
            p = F.interpolate(torch.einsum("gc,bchw->bghw", groups, p), size=truth.shape, mode="bilinear")
            camvid.add(truth, p[0].argmax(0).numpy())
        scenes = {(1024, 512): Confusion(19), (2048, 1024): Confusion(19)}
        for path in sorted(glob.glob(os.path.join(root, "cityscapes-few/labels/*"))):
            stem = os.path.basename(path).replace("_gtFine_labelIds.png", ".jpg")
            image, truth = read(os.path.join(root, "cityscapes-few/images", stem)), city[cv2.imread(path, 0)]
            for (w, h), c in scenes.items():
                p = F.interpolate(run(net, image, w, h)["logits"], size=truth.shape, mode="bilinear")
                c.add(truth, p[0].argmax(0).numpy())
        result[name] = {"camvid_test": camvid.result()}
        result[name].update({f"cityscapes_few_{w}x{h}": c.result() for (w, h), c in scenes.items()})
    return result


def agreement(nets, root, every):
    """Equal classes (share of pixels) and R² of the features, student against teacher, on held-out images."""
    result = {}
    for name, pattern, size in (("camvid_test", "camvid/test/images/*", (960, 704)),
                                ("roadobstacle21", "roadobstacle21/images/*", (1280, 704))):
        same, error, spread, n = 0.0, {}, {}, 0
        for path in sorted(glob.glob(os.path.join(root, pattern)))[::every]:
            image = read(path)
            t, s = run(nets["teacher"], image, *size), run(nets["student"], image, *size)
            same += float((t["logits"].argmax(1) == s["logits"].argmax(1)).float().mean())
            for k in ("stage2", "stage3", "stage4", "head", "logits"):
                error[k] = error.get(k, 0) + (s[k] - t[k]).pow(2).mean((0, 2, 3))
                spread[k] = spread.get(k, 0) + t[k].var((0, 2, 3))
            n += 1
        result[name] = {"same_class": round(same / n * 100, 2)}
        result[name].update({f"r2_{k}": round(float((1 - error[k] / spread[k]).mean()), 3) for k in error})
    return result


def tokens(out):
    """head@16 and stage4@16 side by side: float32 [C, gh, gw]."""
    head = F.avg_pool2d(out["head"], 2)
    stage4 = F.interpolate(out["stage4"], scale_factor=2, mode="bilinear", align_corners=False)
    return torch.cat([head, stage4], 1)[0]


def anomaly(nets, root, folder, every, step=2):
    """AP / AUROC / FPR95 of LSE and of Mahalanobis (one Gaussian of tokens of normal scenes), pooled pixels."""
    paths = sorted(glob.glob(os.path.join(root, folder, "images", "*")))[::every]
    normal = [(p, (1024, 768)) for p in sorted(glob.glob(os.path.join(root, "camvid/train/images/*")))[::4 * every]]
    normal += [(p, size) for p in sorted(glob.glob(os.path.join(root, "cityscapes-few/images/*")))
               for size in ((1024, 512), (2048, 1024))]
    result = {}
    for name, net in nets.items():
        x = torch.cat([tokens(run(net, read(p), *size)).flatten(1)[:, ::3] for p, size in normal], 1).double()
        mean = x.mean(1, keepdim=True)
        cov = (x - mean) @ (x - mean).T / x.shape[1]
        inverse = torch.linalg.inv(cov + 1e-6 * cov.trace() / len(cov) * torch.eye(len(cov), dtype=torch.double))
        truth, scores = [], {"lse": [], "mahalanobis": []}
        for path in paths:
            stem = os.path.splitext(os.path.basename(path))[0]
            mask = cv2.imread(os.path.join(root, folder, "labels_masks", stem + ".png"), 0)
            out = run(net, read(path), 1280, 704)
            z = tokens(out).double()
            d = z.flatten(1) - mean
            maps = {"lse": -torch.logsumexp(out["logits"], 1)[0],
                    "mahalanobis": ((inverse @ d) * d).sum(0).reshape(z.shape[1:]).float()}
            keep = mask[::step, ::step] != 255
            truth.append(mask[::step, ::step][keep] == 1)
            for k, v in maps.items():
                v = F.interpolate(v[None, None], size=mask.shape, mode="bilinear")[0, 0, ::step, ::step].numpy()
                scores[k].append(v[keep])
        y, result[name] = np.concatenate(truth), {}
        for k, v in scores.items():
            v = np.concatenate(v)
            fpr95 = (v[~y] >= np.quantile(v[y], 0.05)).mean()
            figures = (average_precision_score(y, v), roc_auc_score(y, v), fpr95)
            result[name][k] = [round(float(f) * 100, 1) for f in figures]
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--student", required=True)
    parser.add_argument("--every", type=int, default=1, help="use every n-th image of the larger sets")
    parser.add_argument("--ood", nargs="*", default=["roadanomaly21", "roadobstacle21", "fs_static"])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    nets = {"teacher": efficientvit.fuse(efficientvit.load(args.teacher)),
            "student": efficientvit.fuse(efficientvit.load(args.student))}
    print(json.dumps({"segmentation": segmentation(nets, args.data, args.every)}, indent=1), flush=True)
    print(json.dumps({"agreement": agreement(nets, args.data, args.every)}, indent=1), flush=True)
    for folder in args.ood:
        print(json.dumps({folder: anomaly(nets, args.data, folder, 1 if folder == "roadanomaly21" else args.every)}),
              flush=True)


if __name__ == "__main__":
    main()
