"""What provably cannot change what an RBF support vector machine hears: in feature space and in dB.

Start at :func:`~subterfuge.defences.certificates.bracket.bracket` and
:func:`~subterfuge.defences.certificates.bracket.certify_clip` (a clip), or
:func:`~subterfuge.defences.certificates.point.certify_point` (a feature vector).
"""
