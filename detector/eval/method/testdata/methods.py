#!/usr/bin/env python3
"""Writes methods.json: the scores of small encodings by NumPy and scikit-learn, for every method that needs no denoiser.

Usage: python3 methods.py > methods.json   (scikit-learn 1.2, numpy 1.24)
All inputs are multiples of 1/64, so that they are exact in JSON and in float32.
"""
import json
import warnings

import numpy as np
from scipy.special import logsumexp
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

warnings.simplefilter("ignore", ConvergenceWarning)  # EM runs a fixed number of steps
rng = np.random.default_rng(11)
CLASSES, C = ["road", "sky", "building"], 4
MEANS = rng.normal(size=(3, C)) * 2
MIX = rng.normal(size=(C, C))


def exact(x):
    return np.round(np.asarray(x) * 64) / 64


def encoding(h, w, shares, queries=0):
    cls = rng.choice(3, size=(h, w), p=shares)
    mode = rng.integers(0, 2, size=(h, w, 1))  # two modes in each class
    features = exact(MEANS[cls] + 2.5 * mode + rng.normal(size=(h, w, C)) @ MIX * 0.4)
    logits = rng.normal(size=(3, 2 * h, 2 * w)) * 1.5
    for k in range(3):
        logits[k] += 3 * np.kron(cls == k, np.ones((2, 2)))
    e = {"width": w, "height": h, "features": features, "logits": exact(logits)}
    if queries:
        e["class_logits"] = exact(rng.normal(size=(queries, 4)) * 4)
        e["class_logits"][0] = [0, 9, 0, 0]  # two sure background queries
        e["class_logits"][1] = [0, 0, 9, 0]
        e["class_logits"][2] = [0, 0, 0, 9]  # no object
        e["class_logits"][3] = [8, 0, 0, 0]
        e["mask_logits"] = exact(rng.normal(size=(queries, h, w)) * 4 - 3)
    return e


def lse(x):
    top = x.max(0)
    return top + np.log(np.exp(x - top).sum(0))


def box(m, r):  # mean over 2r+1 cells, borders mirrored
    p = np.pad(m, r, mode="symmetric")
    return np.array([[p[i:i + 2 * r + 1, j:j + 2 * r + 1].mean() for j in range(m.shape[1])] for i in range(m.shape[0])])


def resize(a, h, w):  # bilinear, pixel centres
    def weights(n, m):
        x = np.clip((np.arange(m) + 0.5) * n / m - 0.5, 0, n - 1)
        return np.maximum(0, 1 - np.abs(x[:, None] - np.arange(n)[None]))
    return weights(a.shape[0], h) @ a @ weights(a.shape[1], w).T


def token_classes(e):
    k, lh, lw = e["logits"].shape
    return e["logits"].reshape(k, lh // 2, 2, lw // 2, 2).sum((2, 4)).argmax(0).ravel()


def gmm(tokens, classes, x):
    cov = np.cov(tokens.T, bias=True)
    cov += np.eye(C) * 1e-6 * np.trace(cov) / C
    inv = np.linalg.inv(np.linalg.cholesky(cov))
    mean, best = tokens.mean(0), np.full(len(x), -np.inf)
    white, xw = (tokens - mean) @ inv.T, (x - mean) @ inv.T
    for k in range(3):
        t = white[classes == k]
        size = min(5, len(t) // 32)
        if size == 0:
            continue
        at = [(2 * j + 1) * len(t) // (2 * size) for j in range(size)]
        m = GaussianMixture(size, covariance_type="diag", tol=0, max_iter=20, reg_covar=1e-3, weights_init=np.full(size, 1 / size),
                            means_init=t[at], precisions_init=np.tile(1 / (t.var(0) + 1e-3), (size, 1)))
        best = np.maximum(best, m.fit(t).score_samples(xw))
    return -best


def gmmseg(tokens, classes, x):  # Sinkhorn EM in logarithms, unlike ours
    scaler = StandardScaler().fit(tokens)

    def terms(t, mu, var):  # log N(t | mu, var)
        return -0.5 * (((t[:, None] - mu) ** 2 / var).sum(2) + np.log(2 * np.pi * var).sum(1))

    best, tokens, x = np.full(len(x), -np.inf), scaler.transform(tokens), scaler.transform(x)
    for k in range(3):
        t = tokens[classes == k]
        size = min(5, len(t) // 32)
        if size == 0:
            continue
        mu, var = t[[(2 * j + 1) * len(t) // (2 * size) for j in range(size)]], np.tile(t.var(0) + 1e-3, (size, 1))
        for _ in range(20):
            a = terms(t, mu, var)
            a -= logsumexp(a, axis=1, keepdims=True)
            for _ in range(3):
                a -= logsumexp(a, axis=0, keepdims=True) - np.log(len(t) / size)
                a -= logsumexp(a, axis=1, keepdims=True)
            r = np.exp(a)
            mu = r.T @ t / r.sum(0)[:, None]
            var = r.T @ t**2 / r.sum(0)[:, None] - mu**2 + 1e-3
        best = np.maximum(best, logsumexp(terms(x, mu, var), axis=1) - np.log(size))
    return -best


def residual(tokens, x):
    var, vec = np.linalg.eigh(np.cov(tokens.T, bias=True))
    weak = var <= 2 * var.mean()
    assert 0 < weak.sum() < C
    return (((x - tokens.mean(0)) @ vec[:, weak]) ** 2 / var[weak]).sum(1)


def vim(tokens, x, ref_logits, logits):
    basis = PCA().fit(tokens).components_[C // 2:]  # the null space of the principal subspace
    length = lambda f: np.linalg.norm((f - tokens.mean(0)) @ basis.T, axis=1)
    alpha = ref_logits.max(0).mean() / length(tokens).mean()
    return alpha * resize(length(x).reshape(5, 6), 10, 12) - lse(logits)


def neco(tokens, x, logits):
    scaler = StandardScaler().fit(tokens)
    pca = PCA(0.9, svd_solver="full").fit(scaler.transform(tokens))
    assert pca.n_components_ < C
    share = np.linalg.norm(pca.transform(scaler.transform(x)), axis=1) / np.linalg.norm(scaler.transform(x), axis=1)
    return -resize(share.reshape(5, 6), 10, 12) * logits.max(0)


def token_logits(e):
    k, lh, lw = e["logits"].shape
    return e["logits"].reshape(k, lh // 2, 2, lw // 2, 2).mean((2, 4)).reshape(k, -1).T


def student(tokens, tl, x, xl):
    m = Ridge(alpha=1e-6 * tl.var(0).mean() * len(tl)).fit(tl, tokens)
    e = ((tokens - m.predict(tl)) ** 2).mean(0)
    return ((x - m.predict(xl)) ** 2 / e).mean(1)


def masks(e):
    p = np.exp(e["class_logits"])
    p /= p.sum(1, keepdims=True)
    m = 1 / (1 + np.exp(-e["mask_logits"]))
    sem = np.einsum("qc,qhw->chw", p[:, :-1], m)
    top, arg = p.max(1), p.argmax(1)
    known = [q for q in range(len(p)) if arg[q] != 3]
    rejected = np.ones(m.shape[1:])
    for q in known:
        if top[q] > 0.7:
            rejected = np.minimum(rejected, 1 - m[q] * top[q])
    for i in known:
        for j in known:
            if i < j:
                rejected = np.where((m[i] > 0.1) & (m[j] > 0.1), 0, rejected)
    m2a = 1 - sem.max(0)
    sure = [q for q in known if top[q] > 0.95 and CLASSES[arg[q]] in ("sky", "building")]
    if len(sure) > 1:
        m2a = np.where(np.max([top[q] * m[q] for q in sure], axis=0) >= 0.5, 0, m2a)
    return {"eam": 1 - np.einsum("q,qhw->hw", p[:, :-1].max(1), m), "rba": -np.tanh(sem).sum(0), "maskomaly": rejected, "m2a": m2a}


reference = [encoding(10, 12, [0.45, 0.5, 0.05]), encoding(10, 12, [0.5, 0.45, 0.05])]
image = encoding(5, 6, [0.4, 0.3, 0.3], queries=7)
tokens = np.concatenate([e["features"].reshape(-1, C) for e in reference])
classes = np.concatenate([token_classes(e) for e in reference])
u_ref = np.concatenate([(1 - lse(e["logits"])).ravel() for e in reference])
x, logits = image["features"].reshape(-1, C), image["logits"]
p = np.exp(logits - lse(logits))
nn = NearestNeighbors(n_neighbors=3).fit(tokens)
d = nn.kneighbors(x)[0].mean(1)
spread = nn.kneighbors()[0].mean(1).max()
u = 1 - lse(logits)
want = {
    "lse": -lse(logits), "contrast": box(lse(logits), 3) - lse(logits), "msp": 1 - p.max(0), "maxlogit": -logits.max(0), "entropy": -(p * np.log(p)).sum(0),
    "knn": d, "cdnp": (u - u_ref.min()) / (u_ref.max() - u_ref.min()) + resize(d.reshape(5, 6), 10, 12) / spread,
    "mahalanobis": EmpiricalCovariance().fit(tokens).mahalanobis(x), "gmm": gmm(tokens, classes, x),
    "gmmseg": gmmseg(tokens, classes, x), **masks(image),
    "residual": residual(tokens, x), "vim": vim(tokens, x, np.concatenate([e["logits"].reshape(3, -1) for e in reference], 1), logits),
    "neco": neco(tokens, x, logits),
    "student-teacher": student(tokens, np.concatenate([token_logits(e) for e in reference]), x, token_logits(image)),
}


def flat(e):
    return {k: v if isinstance(v, int) else np.asarray(v).ravel().tolist() for k, v in e.items()}


print(json.dumps({"classes": CLASSES, "channels": C, "reference": [flat(e) for e in reference], "image": flat(image),
                  "reference_classes": classes.tolist(), "want": flat(want)}))
