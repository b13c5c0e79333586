"""Measuring on boards behind a TVM RPC tracker."""
