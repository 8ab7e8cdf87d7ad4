"""Foreign folders of labelled scans into raw data: how they
are laid out, what they describe, and what their files hold.
"""
