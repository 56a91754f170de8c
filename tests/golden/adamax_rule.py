"""MT-DNN's Adamax (namisan/mt-dnn, module/bert_optim.py): no bias correction, epsilon inside the maximum and in the
denominator, decoupled decay."""

import torch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-6


class Adamax(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state.update(mean=torch.zeros_like(p), largest=torch.zeros_like(p))
                state["mean"].mul_(BETA1).add_(p.grad, alpha=1 - BETA1)
                torch.maximum(state["largest"].mul_(BETA2), p.grad.abs() + EPSILON, out=state["largest"])
                update = state["mean"] / (state["largest"] + EPSILON) + group["weight_decay"] * p
                p.sub_(group["lr"] * update)
