import type { Store } from '#bus';

/** Faults that are planted to see that the test finds them. */
export const plants = {
  none: (store: Store): Store => store,

  /** Answers before the commit: the transaction is committed only when the next one begins. */
  acknowledgeBeforeCommit(store: Store): Store {
    let owed = false;
    const pay = () => {
      if (owed) store.commit();
      owed = false;
    };
    return over(store, {
      begin() {
        pay();
        store.begin();
      },
      commit() {
        owed = true;
      },
      rollback() {
        owed = false;
        store.rollback();
      },
      settle() {
        if (!owed) store.settle();
      },
      close() {
        pay();
        store.close();
      },
    });
  },

  /** Saves a position one too far, now and then. */
  skippedPosition(store: Store): Store {
    let writes = 0;
    return over(store, {
      write(layout, changes) {
        const at = layout.columns.indexOf('number');
        const skips = layout.name === 'bus_positions';
        store.write(
          layout,
          skips
            ? changes.map(({ key, cells }) => ({
                key,
                cells: cells?.map((cell, i) => (i === at && ++writes % 5 === 0 ? Number(cell) + 1 : cell)) ?? null,
              }))
            : changes,
        );
      },
    });
  },
};

export type Plant = keyof typeof plants;

/** A store with some of its methods replaced. */
const over = (store: Store, methods: Partial<Store>): Store =>
  new Proxy(store, {
    get(target, name) {
      const own = methods[name as keyof Store];
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
