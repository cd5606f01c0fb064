// One view of one state, from its first request to the last of its pictures.
import { galleryView } from './gallery-view.js';
import { callerOf, run, subscribe } from './gateway.js';
import { emptyNotice, errorNotice, missingNotice } from './notices.js';
import { live } from './operations.js';
import { followProgress } from './progress.js';
import { projectView } from './project-view.js';
import { makeReceipt } from './receipt.js';

const REFRESH_PAUSE_MILLISECONDS = 20_000;

export class Visit {
  #state;
  #caller;
  #view;
  #place;
  #ending = new AbortController();
  #receipt = makeReceipt();
  #progressReceipt = makeReceipt();
  #shown = null;
  #stopProgress = () => {};
  #refreshedAt = -Infinity;

  // `place` is the element to fill.
  constructor(state, place) {
    this.#state = state;
    this.#caller = callerOf(state);
    this.#view = state.project === null ? galleryView : projectView;
    this.#place = place;
  }

  // Resolves when the view or a notice is shown; `onRetry` is the action of an error notice, and `onDone` is
  // called when the last pending image is done.
  async start({ onRetry, onDone }) {
    const { data, errors } = await this.#ask();
    const found = this.#view.find(data);
    if (errors.length) this.#showNotice(errorNotice(errors[0], { onRetry }));
    else if (found === null) this.#showNotice(missingNotice(this.#state, this.#caller));
    else if (this.#view.isEmpty(found)) this.#showNotice(emptyNotice(this.#state, found.pagination));
    else this.#show(found, { onDone });
  }

  // Aborts running requests, which throw an AbortError.
  end() {
    this.#ending.abort();
    this.#stopProgress();
  }

  get title() {
    return this.#shown?.title() ?? 'Gallery';
  }

  // The text for screen readers.
  get announcement() {
    return this.#shown?.announcement() ?? this.#place.querySelector('.notice').innerText;
  }

  get heading() {
    return this.#shown?.heading ?? this.#place.querySelector('.notice h1');
  }

  linkTo(projectId) {
    return this.#shown?.linkTo(projectId) ?? null;
  }

  // Links expire at the same time, and one request renews all of them.
  async refreshPictures() {
    if (performance.now() - this.#refreshedAt < REFRESH_PAUSE_MILLISECONDS) return;
    this.#refreshedAt = performance.now();
    const { data } = await this.#ask({ bypassesCache: true });
    this.#update(data);
  }

  async #ask({ bypassesCache = false } = {}) {
    const operation = this.#view.operation(this.#state);
    const response = await run(operation, { ...this.#access(this.#ending.signal), bypassesCache });
    this.#receipt.update({ operation, cost: response.cost, caller: this.#caller });
    return response;
  }

  #access(signal) {
    return { token: this.#caller.token, signal };
  }

  #show(found, { onDone }) {
    const { receipts, root } = (this.#shown = this.#view.make(this.#state));
    receipts.append(this.#receipt.root);
    this.#shown.update(found);
    this.#place.replaceChildren(root);
    if (this.#shown.isPending()) this.#follow(receipts, onDone);
  }

  #follow(receipts, onDone) {
    const query = this.#view.operation(this.#state);
    const subscription = live(query);
    const updateReceipt = (cost, isLive) =>
      this.#progressReceipt.update({
        operation: isLive ? subscription : query,
        cost,
        caller: this.#caller,
        note: isLive ? 'live' : 'every 3 s',
      });

    updateReceipt(null, true);
    receipts.append(this.#progressReceipt.root);
    this.#stopProgress = followProgress({
      subscribe: (signal) => subscribe(subscription, this.#access(signal)),
      poll: (signal) => run(query, this.#access(signal)),
      show: ({ data, cost }, { isLive }) => {
        if (!this.#update(data)) return false;
        updateReceipt(cost, isLive);
        if (!this.#shown.isPending()) {
          this.#stopProgress();
          onDone();
        }
        return true;
      },
    });
  }

  // Returns whether there is something to show. The page stays as it is if a request fails.
  #update(data) {
    const found = this.#view.find(data);
    if (found !== null && !this.#view.isEmpty(found)) this.#shown.update(found);
    return found !== null;
  }

  #showNotice(notice) {
    this.#place.replaceChildren(notice, this.#receipt.root);
  }
}
