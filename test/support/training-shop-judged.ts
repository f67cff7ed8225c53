import { expect, topology } from '../../topology/index.ts'
import { buyer, order, paid, trainingShop, visit } from './training-shop.ts'

/** The same shop with something expected of its orders, which most of them meet. */
export const judgedShop = topology('training-shop', {
  events: [order, paid, visit],
  features: [buyer],
  models: trainingShop.models,
  expectations: [expect(order, [{ field: 'amount', range: { min: 10 } }])],
  partitions: 2,
})
