// What docs/federation.md tells to paste: the caller's own token goes on to the subgraphs, and subscriptions are sent
// by POST. The gateway would refuse them by GET.
export const gatewayConfig = {
  propagateHeaders: {
    fromClientToSubgraphs: ({ request }) => {
      const authorization = request.headers.get("authorization");
      return authorization ? { authorization } : {};
    },
  },
  transportEntries: { gallery: { options: { method: "POST" } } },
};
